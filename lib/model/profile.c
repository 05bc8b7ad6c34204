#include "model/profile.h"

#include "base/progress.h"

double profile_begin(const struct profile *p)
{
    return p ? clock_seconds() : 0;
}

void profile_end(struct profile *p, enum profile_part part, bool back, double begun,
                 double operations)
{
    if (!p)
        return;
    p->seconds[part][back] += clock_seconds() - begun;
    p->operations[part][back] += operations;
}

static void print_line(FILE *out, const char *name, const char *way, double seconds, double of,
                       double operations)
{
    fprintf(out, "%-20s %-9s %9.2f %6.1f%%", name, way, seconds, of > 0 ? 100 * seconds / of : 0);
    if (operations > 0 && seconds > 0)
        fprintf(out, " %8.1f", operations / seconds / 1e9);
    fputc('\n', out);
}

void profile_print(const struct profile *p, double seconds, FILE *out)
{
    static const char *const names[] = {"base's matrices", "adapters", "attention",
                                        "output and loss"};
    double rest = seconds, operations = 0;
    fprintf(out, "%-20s %-9s %9s %7s %8s\n", "operation", "way", "seconds", "share", "GFLOP/s");
    for (int part = 0; part < PROFILE_PARTS; part++)
        for (int back = 0; back < 2; back++) {
            if (p->seconds[part][back] <= 0)
                continue;
            print_line(out, names[part],
                       part == PROFILE_OUTPUT ? "both"
                       : back                 ? "backward"
                                              : "forward",
                       p->seconds[part][back], seconds, p->operations[part][back]);
            rest -= p->seconds[part][back];
            operations += p->operations[part][back];
        }
    print_line(out, "all else", "", rest, seconds, 0);
    print_line(out, "in all", "", seconds, seconds, operations);
}
