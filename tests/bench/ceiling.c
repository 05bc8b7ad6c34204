/*
 * ceiling: what a machine's matrix products alone allow a step of training.
 *
 * usage: ceiling own|onednn MODEL DOCUMENTS LENGTH RANK [REPEATS [THREADS]]
 * Makes the products of a step of LoRA training on DOCUMENTS of LENGTH tokens, forward and backward
 * (step.h), and nothing else. Prints {"tok_per_s","gflop_per_s","seconds","cpu_seconds"} of the
 * best of REPEATS. Exit status 3: this program was built without oneDNN.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/progress.h"
#include "step.h"

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static _Noreturn void fail(const char *message, int status)
{
    fprintf(stderr, "ceiling: %s\n", message);
    exit(status);
}

static void replay(const struct step *s, const struct arithmetic *with, void *state)
{
    for (size_t i = 0; i < s->n_products; i++)
        with->multiply(state, &s->products[i]);
}

int main(int argc, char **argv)
{
    const struct arithmetic *with = NULL;
    struct step step;
    struct err err;
    if (argc < 6)
        fail("usage: ceiling own|onednn MODEL DOCUMENTS LENGTH RANK [REPEATS [THREADS]]", 2);
    if (!strcmp(argv[1], "own"))
        with = &arithmetic_own;
#ifdef HAVE_DNNL
    if (!strcmp(argv[1], "onednn"))
        with = &arithmetic_dnnl;
#endif
    if (!with)
        fail("built without this arithmetic", 3);
    if (step_open(&step, argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10),
                  strtoul(argv[5], NULL, 10), &err))
        fail(err.msg, 1);
    size_t repeats = argc > 6 ? strtoul(argv[6], NULL, 10) : 3;
    void *state = with->open(&step, argc > 7 ? strtoul(argv[7], NULL, 10) : 0, &err);
    if (!state)
        fail(err.msg, 1);
    double best = 0, best_cpu = 0;
    for (size_t i = 0; i <= repeats; i++) { /* the first one touches memory */
        double cpu = cpu_seconds(), began = clock_seconds();
        replay(&step, with, state);
        double seconds = clock_seconds() - began;
        cpu = cpu_seconds() - cpu;
        if (i == 1 || (i && seconds < best))
            best = seconds;
        if (i == 1 || (i && cpu < best_cpu))
            best_cpu = cpu;
    }
    printf("{\"tok_per_s\":%.1f,\"gflop_per_s\":%.1f,\"seconds\":%.3f,\"cpu_seconds\":%.3f}\n",
           (double)step.tokens / best, step.operations / best / 1e9, best, best_cpu);
    with->close(state);
    step_release(&step);
    return 0;
}
