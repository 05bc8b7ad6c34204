/* ft-score: multiple-choice questions, and how often a model finds the right choice likeliest. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/archive.h"
#include "formats/json.h"
#include "model/choice.h"
#include "model/tuned.h"
#include "text/task.h"

static struct {
    const char *output, *task, *examples, *description;
    struct string_list adapters;
    struct task_spec spec;
    bool compare, per_question, no_specials;
    struct tuned_request base;
    size_t shots, batch_tokens;
    int progress;
} opt = {.base = {.backend = BACKEND_FP32}, .shots = SIZE_MAX, .batch_tokens = 2048};

static const struct option_spec options[] = {
    TUNED_MODEL_OPTIONS(opt.base, opt.adapters),
    {OPT_FLAG, 0, "compare", &opt.compare, NULL, "the model without the adapters, and with them",
     NULL, 0, 0},
    {OPT_STRING, 'o', "output", &opt.output, "FILE", "where to write [stdout]", NULL, 0, 0},
    {OPT_FLAG, 0, "per-question", &opt.per_question, NULL, "a line of JSON for each question", NULL,
     0, 0},
    {OPT_HEADING, 0, "Questions", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_STRING, 't', "task", &opt.task, "NAME", "a known task's templates; list names them all",
     NULL, 0, 0},
    {OPT_STRING, 0, "prompt", &opt.spec.prompt, "TEMPLATE",
     "what stands before a choice [{{prompt}}]", NULL, 0, 0},
    {OPT_STRING, 0, "choices", &opt.spec.choices, "EXPR", "the list of choices [choices]", NULL, 0,
     0},
    {OPT_STRING, 0, "answer", &opt.spec.answer, "EXPR",
     "the right one: its number, letter or text [answer]", NULL, 0, 0},
    {OPT_STRING, 0, "ending", &opt.spec.ending, "TEMPLATE",
     "choices are beginnings, and this follows them", NULL, 0, 0},
    {OPT_STRING, 0, "delimiter", &opt.spec.delimiter, "TEXT",
     "between prompt and choice [one space]", NULL, 0, 0},
    {OPT_STRING, 0, "description", &opt.description, "TEXT", "put before everything", NULL, 0, 0},
    {OPT_STRING, 0, "examples", &opt.examples, "FILE", "solved questions to put before each", NULL,
     0, 0},
    {OPT_SIZE, 0, "shots", &opt.shots, "N", "the first N of the examples [all]", NULL, 0, 1e6},
    {OPT_FLAG, 0, "no-specials", &opt.no_specials, NULL, "no BOS before the text", NULL, 0, 0},
    {OPT_HEADING, 0, "Computing", NULL, NULL, NULL, NULL, 0, 0},
    TUNED_COMPUTING_OPTIONS(opt.base),
    {OPT_SIZE, 0, "batch-tokens", &opt.batch_tokens, "N",
     "score choices together up to that many tokens [2048]", NULL, 1, 1 << 24},
    {OPT_CHOICE, 0, "progress", &opt.progress, NULL, "whether to show progress [auto]",
     progress_choices, 0, 0},
};

static const struct program program = {
    .name = "ft-score",
    .synopsis = "-m MODEL [-a ADAPTER[:WEIGHT]]... [OPTION]... [FILE]...\n"
                "  or:  ft-score --task list",
    .purpose = "Asks a model multiple-choice questions, and counts its right answers.",
    .notes =
        "Examples:\n"
        "  ft-score -m base --task arc arc_easy_test.jsonl\n"
        "  ft-score -m base -a adapter --compare --prompt '{{question}}\\nAnswer:' quiz.jsonl\n"
        "  ft-score -m base --task mmlu --examples dev.jsonl --shots 5 test.jsonl\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

struct session {
    struct tuned model;
    struct tokenizer *tokenizer;
    struct task *task;
    struct choices result;
    struct progress progress;
};

/* ---- questions ---- */

/* Calls use for each object of a file, at most `most` of them. */
static int each_object(const char *path, size_t most,
                       int (*use)(void *arg, const json_t *object, struct err *err), void *arg,
                       struct err *err)
{
    struct input *in;
    struct buf line = BUF_INIT;
    json_t *object;
    int rc = 0;
    if (input_open(&in, path, err))
        return -1;
    for (size_t i = 0; i < most && (rc = json_next_line(in, &line, &object, err)) > 0; i++) {
        rc = use(arg, object, err);
        json_decref(object);
        if (rc) {
            err_prefix(err, "%s:%zu", input_name(in), input_line_number(in));
            break;
        }
    }
    buf_release(&line);
    input_close(in);
    return rc < 0 ? -1 : 0;
}

static int use_example(void *arg, const json_t *object, struct err *err)
{
    return task_add_example(arg, object, err);
}

struct asking {
    struct session *s;
    struct chooser *chooser;
    struct task_item item;
};

static int use_question(void *arg, const json_t *object, struct err *err)
{
    struct asking *a = arg;
    struct session *s = a->s;
    if (task_make(s->task, object, &a->item, err) || chooser_add(a->chooser, &a->item, err))
        return -1;
    double seconds = clock_seconds() - s->progress.started;
    progress_draw(&s->progress, "%zu questions, %.0f tokens/s", s->result.n,
                  (double)s->result.tokens / seconds);
    return 0;
}

static int ask(struct session *s, char **files, size_t n, struct err *err)
{
    struct lora *sides[] = {opt.compare ? NULL : s->model.adapter, s->model.adapter};
    const struct choice_options how = {.decoder = s->model.decoder,
                                       .sides = sides,
                                       .n_sides = 1u + opt.compare,
                                       .tokenizer = s->tokenizer,
                                       .no_specials = opt.no_specials,
                                       .batch_tokens = opt.batch_tokens};
    struct asking asking = {s, chooser_new(&how, &s->result), {0}};
    int rc = 0;
    for (size_t i = 0; i < (n ? n : 1) && !rc; i++)
        rc = each_object(n ? files[i] : NULL, SIZE_MAX, use_question, &asking, err);
    if (!rc)
        rc = chooser_finish(asking.chooser, err);
    task_item_release(&asking.item);
    chooser_free(asking.chooser);
    progress_clear(&s->progress);
    if (!rc && !s->result.n)
        rc = err_set(err, "there are no questions");
    return rc;
}

/* ---- what it prints ---- */

static void add_accuracy(struct buf *b, struct accuracy a, const char *name)
{
    buf_addf(b, "\"%s\":", name);
    json_add_real(b, a.mean);
    buf_addf(b, ",\"%s_stderr\":", name);
    json_add_real(b, a.stderr_);
}

static void add_side(struct buf *b, const struct choices *c, size_t side)
{
    for (int m = 0; m < CHOICE_MEASURES; m++) {
        buf_addstr(b, m ? "," : "{");
        add_accuracy(b, choices_accuracy(c, side, m), choice_measure_names[m]);
    }
    buf_addch(b, '}');
}

static void add_difference(struct buf *b, const struct choices *c)
{
    for (int m = 0; m < CHOICE_MEASURES; m++) {
        buf_addstr(b, m ? "," : "{");
        add_accuracy(b, choices_difference(c, m), choice_measure_names[m]);
    }
    buf_addch(b, '}');
}

static void add_summary(struct buf *b, const struct session *s)
{
    const struct choices *c = &s->result;
    buf_addf(b, "{\"task\":");
    if (opt.task)
        json_add_string(b, opt.task, strlen(opt.task));
    else
        buf_addstr(b, "null");
    buf_addf(b, ",\"questions\":%zu,", c->n);
    if (opt.compare) {
        buf_addstr(b, "\"base\":");
        add_side(b, c, 0);
        buf_addstr(b, ",\"tuned\":");
        add_side(b, c, 1);
        buf_addstr(b, ",\"difference\":");
        add_difference(b, c);
    } else {
        for (int m = 0; m < CHOICE_MEASURES; m++) {
            add_accuracy(b, choices_accuracy(c, 0, m), choice_measure_names[m]);
            buf_addstr(b, m + 1 < CHOICE_MEASURES ? "," : "");
        }
    }
    buf_addf(b, ",\"tokens\":%" PRIu64 ",\"truncated\":%" PRIu64 ",\"backend\":\"%s\"}\n",
             c->tokens, c->truncated, backend_choices[decoder_backend(s->model.decoder)]);
}

static void add_loglikelihoods(struct buf *b, const struct choice_question *q, size_t side,
                               const char *prefix)
{
    buf_addf(b, ",\"%sloglikelihoods\":", prefix);
    for (size_t i = 0; i < q->n; i++) {
        buf_addch(b, i ? ',' : '[');
        json_add_real(b, q->choices[i].loglikelihood[side]);
    }
    buf_addch(b, ']');
    for (int m = 0; m < CHOICE_MEASURES; m++)
        buf_addf(b, ",\"%s%s\":%s", prefix, choice_measure_names[m],
                 q->choices[choice_taken(q, side, m)].right ? "1" : "0");
}

static void add_question(struct buf *b, const struct choice_question *q)
{
    const char *comma = "";
    buf_addstr(b, "{\"id\":");
    if (q->id)
        json_add(b, q->id);
    else
        buf_addstr(b, "null");
    buf_addstr(b, ",\"right\":[");
    for (size_t i = 0; i < q->n; i++)
        if (q->choices[i].right) {
            buf_addf(b, "%s%zu", comma, i);
            comma = ",";
        }
    buf_addch(b, ']');
    if (opt.compare) {
        add_loglikelihoods(b, q, 0, "base_");
        add_loglikelihoods(b, q, 1, "tuned_");
    } else {
        add_loglikelihoods(b, q, 0, "");
    }
    buf_addstr(b, "}\n");
}

static int print(const struct session *s, struct err *err)
{
    struct output *out;
    struct buf b = BUF_INIT;
    if (output_open(&out, opt.output, err))
        return -1;
    int rc = 0;
    for (size_t i = 0; i < (opt.per_question ? s->result.n : 1) && !rc; i++) {
        buf_clear(&b);
        if (opt.per_question)
            add_question(&b, &s->result.questions[i]);
        else
            add_summary(&b, s);
        rc = output_write(out, b.p, b.len, err);
    }
    buf_release(&b);
    if (!rc)
        return output_commit(out, err);
    output_abandon(out);
    return -1;
}

/* ---- opening ---- */

static int open_model(struct session *s, struct err *err)
{
    opt.base.adapters = opt.adapters.items;
    opt.base.n_adapters = opt.adapters.n;
    if (tuned_open(&s->model, &opt.base, err))
        return -1;
    return tokenizer_load(&s->tokenizer, opt.base.model, err);
}

/* The preset's templates where none were given, else the usual keys. */
static void settle_spec(void)
{
    static const struct task_spec usual = {
        .prompt = "{{prompt}}", .choices = "choices", .answer = "answer", .delimiter = " "};
    const struct task_spec *from = opt.task ? task_preset(opt.task) : &usual;
    if (!from)
        usage_error("--task: no task \"%s\"; --task list names them", opt.task);
    opt.spec.prelude = from->prelude;
    opt.spec.prompt = opt.spec.prompt ? opt.spec.prompt : from->prompt;
    opt.spec.choices = opt.spec.choices ? opt.spec.choices : from->choices;
    opt.spec.answer = opt.spec.answer ? opt.spec.answer : from->answer;
    opt.spec.ending = opt.spec.ending ? opt.spec.ending : from->ending;
}

static int open_task(struct session *s, struct err *err)
{
    if (task_new(&s->task, &opt.spec, err))
        return -1;
    if (opt.description)
        task_describe(s->task, opt.description);
    return opt.examples ? each_object(opt.examples, opt.shots, use_example, s->task, err) : 0;
}

static void session_release(struct session *s)
{
    choices_release(&s->result);
    task_free(s->task);
    tokenizer_free(s->tokenizer);
    tuned_close(&s->model);
}

static int score(struct session *s, char **files, size_t n, struct err *err)
{
    if (open_task(s, err) || open_model(s, err) || ask(s, files, n, err))
        return -1;
    if (s->result.truncated)
        warn("warning: the beginning of %" PRIu64
             " questions was left out: they are longer than the model takes",
             s->result.truncated);
    return print(s, err);
}

static void list_tasks(void)
{
    for (const struct task_preset *p = task_presets; p->name; p++)
        printf("%-16s %s\n", p->name, p->about);
}

int main(int argc, char **argv)
{
    int first = program_start(&program, argc, argv);
    struct session s = {0};
    struct err err;
    if (opt.task && !strcmp(opt.task, "list")) {
        list_tasks();
        return fflush(stdout) ? (warn("stdout: can't be written"), 1) : 0;
    }
    if (!opt.base.model)
        usage_error("which model? (-m MODEL)");
    if (opt.compare && !opt.adapters.n)
        usage_error("--compare needs an adapter (-a ADAPTER)");
    if (opt.shots != SIZE_MAX && !opt.examples)
        usage_error("--shots takes them from --examples FILE");
    settle_spec();
    program_sandbox(argv + first, false);
    progress_init(&s.progress, (enum progress_when)opt.progress);
    int rc = score(&s, argv + first, (size_t)(argc - first), &err);
    session_release(&s);
    if (rc)
        die("%s", err.msg);
    return 0;
}
