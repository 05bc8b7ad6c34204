/* ft-plan: what a training run will take in memory, time, energy and money, before it is begun. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/archive.h"
#include "formats/json.h"
#include "model/plan.h"
#include "model/train_args.h"

static struct {
    double seconds, watts, price_hour, price_kwh;
    const char *machine, *save_machine;
    size_t ranks;
    double gbit, latency;
    bool json, alone;
} opt = {.seconds = 8,
         .watts = NAN,
         .price_hour = NAN,
         .price_kwh = NAN,
         .ranks = 1,
         .gbit = 1,
         .latency = 50};

static const struct option_spec options[] = {
    {OPT_FLAG, 0, "json", &opt.json, NULL, "a line of JSON for each plan", NULL, 0, 0},
    {OPT_FLAG, 0, "alone", &opt.alone, NULL, "no alternatives", NULL, 0, 0},
    {OPT_DOUBLE, 0, "seconds", &opt.seconds, "S",
     "how long to measure; alternatives a quarter of it [8]", NULL, 0, 1e6},
    {OPT_DOUBLE, 0, "watts", &opt.watts, "W", "power that the machine takes: adds energy", NULL, 0,
     1e9},
    {OPT_DOUBLE, 0, "price-kwh", &opt.price_kwh, "P", "price of a kilowatt-hour: adds cost", NULL,
     0, 1e9},
    {OPT_DOUBLE, 0, "price-hour", &opt.price_hour, "P",
     "price of an hour of the machine: adds cost", NULL, 0, 1e9},
    {OPT_SIZE, 0, "ranks", &opt.ranks, "N",
     "also 2, 4, 8 ... N processes, each on a machine like this one", NULL, 1, 1 << 16},
    {OPT_DOUBLE, 0, "gbit", &opt.gbit, "G", "10^9 bits a second between machines [1]", NULL, 1e-6,
     1e6},
    {OPT_DOUBLE, 0, "latency", &opt.latency, "US", "microseconds between machines [50]", NULL, 0,
     1e9},
    {OPT_STRING, 0, "machine", &opt.machine, "FILE", "plan for the machine of this profile", NULL,
     0, 0},
    {OPT_STRING, 0, "save-machine", &opt.save_machine, "FILE", "write this machine's profile", NULL,
     0, 0},
    {OPT_HEADING, 0, "The run, as ft-train takes it", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_TABLE, 0, NULL, (void *)(uintptr_t)&train_args_table, NULL, NULL, NULL, 0, 0},
};

static const struct program program = {
    .name = "ft-plan",
    .synopsis = "-m MODEL [OPTION]... [FILE]...",
    .purpose = "Says what a run of ft-train with these options takes, beside alternatives.",
    .notes = "Examples:\n"
             "  ft-plan -m base --epochs 3 train.ft\n"
             "  ft-plan -m base --watts 65 --price-kwh 0.30 train.ft\n"
             "  ft-plan -m base --save-machine laptop.json train.ft\n"
             "  ft-plan -m base --machine server.json --full train.ft\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

#define TUNE train_args.request.options

/* ---- alternatives ---- */

enum { MOST_PLANS = 8, MOST_RANKS = 17 /* powers of 2 up to the most that can be asked for */ };

/* One line of the table: the request with one option changed. */
struct line {
    char name[48];
    struct train_request request;
    struct plan plan;
    struct err err;
    bool failed;
};

static struct line *add_line(struct line *lines, size_t *n, const char *name)
{
    struct line *l = &lines[(*n)++];
    snprintf(l->name, sizeof l->name, "%s", name);
    l->request = train_args.request;
    return l;
}

/* What a user would try next. The alternatives read the rows again, so there are none for stdin. */
static size_t list_lines(struct line lines[MOST_PLANS])
{
    const struct train_options *o = &TUNE;
    size_t n = 0, rank = o->rank == SIZE_MAX ? 16 : o->rank;
    add_line(lines, &n, "as given");
    if (opt.alone || !train_args.request.n_rows)
        return n;
    if (!o->full && !train_args.request.initial) {
        char name[sizeof lines[0].name];
        snprintf(name, sizeof name, "--rank=%zu", rank * 2);
        add_line(lines, &n, name)->request.options.rank = rank * 2;
        snprintf(name, sizeof name, "--rank=%zu", rank / 2);
        if (rank > 1)
            add_line(lines, &n, name)->request.options.rank = rank / 2;
    }
    if (o->backend != BACKEND_BF16 && o->backend != BACKEND_AUTO && backend_available(BACKEND_BF16))
        add_line(lines, &n, "--backend=bf16")->request.options.backend = BACKEND_BF16;
    if (!o->full && o->base_type <= BASE_STORED)
        add_line(lines, &n, "--base-type=nf4")->request.options.base_type = BASE_NF4;
    if (!o->full && !train_args.request.initial && o->base_type <= BASE_STORED) {
        struct line *l = add_line(lines, &n, "--full");
        l->request.options.full = true;
        l->request.options.rank = SIZE_MAX;
        l->request.options.alpha = NAN;
    }
    return n;
}

/* ---- what it prints ---- */

static double energy(const struct plan *p) /* kWh */
{
    return opt.watts * (double)p->ranks * p->seconds / 3600 / 1000;
}

static double cost(const struct plan *p)
{
    double sum = 0;
    if (!isnan(opt.price_hour))
        sum += opt.price_hour * (double)p->ranks * p->seconds / 3600;
    if (!isnan(opt.price_kwh))
        sum += opt.price_kwh * energy(p);
    return sum;
}

static bool has_cost(void)
{
    return !isnan(opt.price_hour) || !isnan(opt.price_kwh);
}

static void add_field(struct buf *b, const char *name, double v)
{
    buf_addf(b, ",\"%s\":", name);
    json_add_real(b, v);
}

static void add_json(struct buf *b, const struct line *l)
{
    const struct plan *p = &l->plan;
    buf_addstr(b, "{\"plan\":");
    json_add_string(b, l->name, strlen(l->name));
    if (l->failed) {
        buf_addstr(b, ",\"error\":");
        json_add_string(b, l->err.msg, strlen(l->err.msg));
        buf_addstr(b, "}\n");
        return;
    }
    buf_addf(b, ",\"rows\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"tokens\":%" PRIu64, p->rows,
             p->steps, p->tokens);
    buf_addf(b, ",\"ranks\":%zu", p->ranks);
    add_field(b, "epochs", p->epochs);
    add_field(b, "trained", p->trained);
    buf_addf(b, ",\"parameters\":%zu,\"backend\":\"%s\",\"memory\":%zu,\"disk\":%zu", p->parameters,
             backend_choices[p->backend], p->memory, p->disk);
    buf_addf(b, ",\"fits\":%s,\"measured\":%s", p->fits ? "true" : "false",
             p->measured ? "true" : "false");
    add_field(b, "seconds", p->seconds);
    add_field(b, "low", p->low);
    add_field(b, "high", p->high);
    if (!isnan(opt.watts))
        add_field(b, "kwh", energy(p));
    if (has_cost())
        add_field(b, "cost", cost(p));
    buf_addstr(b, "}\n");
}

static void add_size(struct buf *b, size_t bytes)
{
    const double mib = (double)bytes / (1 << 20);
    struct buf text = BUF_INIT;
    buf_addf(&text, mib < 1000 ? "%.0f MiB" : "%.2f GiB", mib < 1000 ? mib : mib / 1024);
    buf_addf(b, "%10s", text.p);
    buf_release(&text);
}

static void add_time(struct buf *b, const struct plan *p)
{
    char middle[24], low[24], high[24];
    if (isnan(p->seconds)) {
        buf_addf(b, "%11s  %-20s", "?", p->fits ? "" : "not measured");
        return;
    }
    struct buf range = BUF_INIT;
    buf_addf(&range, "(%s-%s)", format_duration(p->low, low), format_duration(p->high, high));
    buf_addf(b, "%11s  %-20s", format_duration(p->seconds, middle), range.p);
    buf_release(&range);
}

static void end_line(struct buf *b)
{
    while (b->len && b->p[b->len - 1] == ' ')
        b->p[--b->len] = 0;
    buf_addch(b, '\n');
}

static void add_heading(struct buf *b, const struct plan *p)
{
    buf_addf(b,
             "%" PRIu64 " rows, %.0f%% of their tokens trained; %.3g epochs are %" PRIu64
             " steps, %" PRIu64 " tokens\n\n",
             p->rows, 100 * p->trained, p->epochs, p->steps, p->tokens);
    buf_addf(b, "%-18s %10s %10s %11s  %-20s", "", "trained", "memory", "time", "");
    if (!isnan(opt.watts))
        buf_addf(b, " %9s", "kWh");
    if (has_cost())
        buf_addf(b, " %9s", "cost");
    end_line(b);
}

static void add_row(struct buf *b, const struct line *l)
{
    const struct plan *p = &l->plan;
    buf_addf(b, "%-18s ", l->name);
    if (l->failed) {
        buf_addf(b, "%s\n", l->err.msg);
        return;
    }
    buf_addf(b, "%9.3gM ", (double)p->parameters / 1e6);
    add_size(b, p->memory);
    buf_addch(b, ' ');
    add_time(b, p);
    if (!isnan(opt.watts))
        buf_addf(b, " %9.3g", energy(p));
    if (has_cost())
        buf_addf(b, " %9.3g", cost(p));
    if (!p->fits)
        buf_addstr(b, "  doesn't fit");
    end_line(b);
}

static int print(const struct line *lines, size_t n, size_t have, struct err *err)
{
    struct buf b = BUF_INIT;
    if (!opt.json)
        add_heading(&b, &lines[0].plan);
    for (size_t i = 0; i < n; i++)
        opt.json ? add_json(&b, &lines[i]) : add_row(&b, &lines[i]);
    if (!opt.json && have) {
        buf_addstr(&b, "\nmemory to be had: ");
        add_size(&b, have);
        buf_addch(&b, '\n');
    }
    int rc = output_whole(NULL, b.p, b.len, err);
    buf_release(&b);
    return rc;
}

/* ---- in a process of its own, whose peak of memory is the run's ---- */

struct answer {
    int rc;
    struct plan plan;
    struct err err;
};

static bool put_answer(int fd, const struct answer *a)
{
    const char *p = (const char *)a;
    for (size_t done = 0; done < sizeof *a;) {
        ssize_t n = write(fd, p + done, sizeof *a - done);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool get_answer(int fd, struct answer *a)
{
    char *p = (char *)a;
    for (size_t done = 0; done < sizeof *a;) {
        ssize_t n = read(fd, p + done, sizeof *a - done);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static int plan_apart(struct plan *p, const struct train_request *request,
                      const struct plan_options *how, struct err *err)
{
    int ends[2], status;
    struct answer answer = {0};
    if (pipe(ends))
        return err_errno(err, "pipe");
    pid_t child = fork();
    if (child < 0)
        return err_errno(err, "fork");
    if (!child) {
        close(ends[0]);
        answer.rc = plan_make(&answer.plan, request, how, &answer.err);
        _exit(put_answer(ends[1], &answer) ? 0 : 1);
    }
    close(ends[1]);
    bool whole = get_answer(ends[0], &answer);
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!whole)
        return err_set(err, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                                ? "killed while it was measured, perhaps for want of memory"
                                : "ended while it was measured");
    *p = answer.plan;
    *err = answer.err;
    return answer.rc;
}

/* ---- the program ---- */

/* The rates that were measured, into a profile. */
static int save_machine(const struct line *lines, size_t n, struct err *err)
{
    struct machine m = {.memory = machine_memory()};
    for (size_t i = n; i-- > 0;)
        if (lines[i].plan.measured)
            m.rates[lines[i].plan.backend] = lines[i].plan.operations / lines[i].plan.seconds;
    return machine_save(&m, opt.save_machine, err);
}

static int make_plans(struct line *lines, size_t n, const struct plan_options *how, struct err *err)
{
    struct progress progress;
    progress_init(&progress, (enum progress_when)train_args.progress);
    const struct plan_options shorter = {how->seconds / 4, how->machine};
    for (size_t i = 0; i < n; i++) {
        progress_draw(&progress, "measuring %zu of %zu: %s", i + 1, n, lines[i].name);
        lines[i].failed =
            plan_apart(&lines[i].plan, &lines[i].request, i ? &shorter : how, &lines[i].err) != 0;
    }
    progress_clear(&progress);
    return lines[0].failed ? err_set(err, "%s", lines[0].err.msg) : 0;
}

/* The first plan again, for more and more processes, N of them in the end. */
static size_t add_ranks(struct line *lines, size_t n)
{
    const struct network network = {opt.latency * 1e-6, opt.gbit * 1e9 / 8};
    for (size_t ranks = 1; ranks < opt.ranks;) {
        ranks = size_min(2 * ranks, opt.ranks);
        struct line *l = &lines[n++];
        *l = lines[0];
        snprintf(l->name, sizeof l->name, "%zu ranks", ranks);
        plan_for_ranks(&l->plan, ranks, &network);
    }
    return n;
}

static int plan(struct err *err)
{
    struct line lines[MOST_PLANS + MOST_RANKS] = {0};
    struct machine other;
    struct plan_options how = {.seconds = opt.seconds};
    if (opt.machine && machine_load(&other, opt.machine, err))
        return -1;
    how.machine = opt.machine ? &other : NULL;
    size_t have = opt.machine ? other.memory : machine_memory();
    size_t n = list_lines(lines);
    if (make_plans(lines, n, &how, err) || (opt.save_machine && save_machine(lines, n, err)))
        return -1;
    return print(lines, add_ranks(lines, n), have, err);
}

static void check_options(void)
{
    if (!train_args.request.model)
        usage_error("which model? (-m MODEL)");
    if (train_args.resume)
        usage_error("--resume: a run that has begun knows its time; ft-train shows it");
    if (opt.machine && opt.save_machine)
        usage_error("--save-machine writes what is measured here; --machine measures nothing");
    if (!isnan(opt.price_kwh) && isnan(opt.watts))
        usage_error("--price-kwh needs the power: --watts W");
    if (TUNE.steps != SIZE_MAX && !isnan(TUNE.epochs))
        usage_error("--steps and --epochs both say how long; give one");
}

int main(int argc, char **argv)
{
    TUNE = train_options_unset;
    int first = program_start(&program, argc, argv);
    struct err err;
    train_args.request.rows = (const char *const *)(argv + first);
    train_args.request.n_rows = (size_t)(argc - first);
    check_options();
    if (plan(&err))
        die("%s", err.msg);
    return 0;
}
