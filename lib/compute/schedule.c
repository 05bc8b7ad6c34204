#include "compute/schedule.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const char *const schedule_choices[] = {"constant", "linear", "cosine", "wsd", NULL};

double schedule_lr(const struct schedule *s, uint64_t step)
{
    if (step < s->warmup)
        return s->lr * (double)step / (double)s->warmup;
    if (step >= s->steps)
        return s->kind == SCHEDULE_CONSTANT ? s->lr : 0;
    double after = (double)(step - s->warmup), left = (double)(s->steps - step);
    double length = (double)(s->steps - s->warmup);
    switch (s->kind) {
    case SCHEDULE_CONSTANT:
        break;
    case SCHEDULE_LINEAR:
        return s->lr * left / length;
    case SCHEDULE_COSINE:
        return s->lr * (1 + cos(3.14159265358979323846 * after / length)) / 2;
    case SCHEDULE_WSD:
        return s->decay && left < (double)s->decay ? s->lr * left / (double)s->decay : s->lr;
    }
    return s->lr;
}

int schedule_length(const char *text, uint64_t steps, uint64_t *length, struct err *err)
{
    char *end;
    if (strspn(text, "0123456789") == strlen(text) && *text) {
        errno = 0;
        *length = strtoull(text, &end, 10);
        if (errno || *length > steps)
            return err_set(err, "%s steps are more than the run's %" PRIu64, text, steps);
        return 0;
    }
    double share = strtod(text, &end);
    bool percent = *end == '%';
    if (percent) {
        share /= 100;
        end++;
    }
    if (end == text || *end || isspace((unsigned char)*text) || !(share >= 0 && share <= 1))
        return err_set(err, "'%s' is neither a number of steps nor a share such as 3%% or 0.03",
                       text);
    /* The product may land a rounding error above the whole number that was meant. */
    double n = ceil(share * (double)steps - 1e-9);
    *length = n > 0 ? (uint64_t)n : 0;
    return 0;
}
