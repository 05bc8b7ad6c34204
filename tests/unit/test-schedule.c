/* Learning rates: the values of the reference runs (transformers' schedules), edges, and lengths as
 * users write them. */
#include "compute/schedule.h"
#include "tap.h"

static void is_rates(const char *name, const struct schedule *s, const double *want)
{
    bool ok = true;
    for (uint64_t k = 0; k < s->steps; k++) {
        double got = schedule_lr(s, k);
        if (fabs(got - want[k]) > 1e-15) {
            printf("# step %" PRIu64 ": got %.17g, want %.17g\n", k, got, want[k]);
            ok = false;
        }
    }
    tap_ok(ok, "%s", name);
}

static void test_rates(void)
{
    static const double cosine[] = {
        0.0, 0.005, 0.01, 0.008535533905932738, 0.005, 0.0014644660940672626};
    static const double linear[] = {0.0, 0.01, 0.008, 0.006, 0.004, 0.002};
    static const double constant[] = {0, 0.25, 0.5, 0.75, 1, 1};
    static const double wsd[] = {0, 1, 1, 1, 0.75, 0.5, 0.25};
    static const double all_warmup[] = {0, 0.5};
    is_rates("cosine, 2 of 6 steps warm-up", &(struct schedule){SCHEDULE_COSINE, 0.01, 6, 2, 0},
             cosine);
    is_rates("linear, 1 of 6 steps warm-up", &(struct schedule){SCHEDULE_LINEAR, 0.01, 6, 1, 0},
             linear);
    is_rates("constant, 4 of 6 steps warm-up", &(struct schedule){SCHEDULE_CONSTANT, 1, 6, 4, 0},
             constant);
    is_rates("wsd, 1 up, 3 stable, 4 down counting the last stable one",
             &(struct schedule){SCHEDULE_WSD, 1, 7, 1, 4}, wsd);
    for (int kind = SCHEDULE_CONSTANT; kind <= SCHEDULE_WSD; kind++)
        is_rates("nothing but warm-up", &(struct schedule){kind, 1, 2, 2, 0}, all_warmup);
}

static void is_length(const char *text, uint64_t steps, uint64_t want)
{
    uint64_t got = 0;
    struct err err = {""};
    bool ok = !schedule_length(text, steps, &got, &err) && got == want;
    if (!tap_ok(ok, "'%s' of %" PRIu64 " steps is %" PRIu64, text, steps, want))
        printf("# got %" PRIu64 " %s\n", got, err.msg);
}

static void is_no_length(const char *text, uint64_t steps)
{
    uint64_t got;
    struct err err = {""};
    tap_ok(schedule_length(text, steps, &got, &err) < 0 && err.msg[0], "'%s' of %" PRIu64 " fails",
           text, steps);
}

int main(void)
{
    test_rates();
    is_length("0", 10, 0);
    is_length("10", 10, 10);
    is_length("3%", 100, 3);
    is_length("7%", 100, 7); /* 0.07 * 100 is above 7 in binary */
    is_length("0.03", 101, 4);
    is_length("2.5%", 1000, 25);
    is_length("100%", 7, 7);
    is_length("1.0", 7, 7);
    is_length("0%", 7, 0);
    is_no_length("11", 10);
    is_no_length("1.5", 10);
    is_no_length("101%", 10);
    is_no_length("-1", 10);
    is_no_length("", 10);
    is_no_length(" 1", 10);
    is_no_length("3 %", 10);
    is_no_length("3%%", 10);
    is_no_length("nan", 10);
    is_no_length("99999999999999999999999", 10);
    return tap_done();
}
