/* Steps that would do harm: losses and gradients that aren't finite, and losses far above the
 * usual. */
#include <inttypes.h>
#include <math.h>

#include "model/trainer_internal.h"

bool trainer_leaves_out(const struct trainer *t)
{
    return t->setup.options->on_spike == SPIKE_SKIP;
}

/* Why it isn't finite, into err. */
static void explain_nan(struct trainer *t, size_t first, size_t end, struct err *err)
{
    if (*t->blamed.msg)
        *err = t->blamed;
    else
        trainer_blame(t, first, end, err);
    *t->blamed.msg = 0;
}

static int explain_spike(struct trainer *t, size_t first, size_t end, double loss, struct err *err)
{
    double usual, distance;
    spike_usual(&t->progress.spikes, &usual, &distance);
    if (trainer_find_worst(t, first, end, err))
        return -1;
    err_prefix(err, "a loss of %.4g, where %.4g give or take %.2g is usual", loss, usual, distance);
    return 0;
}

int trainer_judge(struct trainer *t, size_t first, size_t end, double loss, double norm,
                  struct err *err)
{
    const struct spike_memory *m = &t->progress.spikes;
    const int policy = t->setup.options->on_spike;
    const bool finite = isfinite(loss) && isfinite(norm);
    if (!finite)
        explain_nan(t, first, end, err);
    if (policy <= SPIKE_IGNORE)
        return finite ? 0 : -1;
    if (finite && !spike_found(m, loss, t->setup.options->spike))
        return 0;
    if (finite && explain_spike(t, first, end, loss, err))
        return -1;
    if (policy == SPIKE_STOP)
        return -1;
    if (m->in_row == SPIKE_IN_ROW)
        return err_prefix(err, "after %d steps in a row that were left out", SPIKE_IN_ROW);
    return 1;
}

void trainer_remember(struct trainer *t, bool left_out)
{
    if (left_out)
        spike_leave_out(&t->progress.spikes);
    else if (t->setup.options->on_spike > SPIKE_IGNORE)
        spike_learn(&t->progress.spikes, t->loss);
}
