/* ft-score: questions, and how often a model finds the right choice likeliest or gives the right
 * answer. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/archive.h"
#include "formats/json.h"
#include "model/answer.h"
#include "model/choice.h"
#include "model/score_report.h"
#include "model/tuned.h"
#include "text/task.h"

static struct {
    const char *output, *task, *examples, *description, *extract;
    struct string_list adapters, until, ignored;
    struct task_spec spec;
    struct task_answering answering;
    bool compare, per_question, no_specials, generate, extract_last;
    struct tuned_request base;
    size_t shots, batch_tokens, max_tokens, slots;
    int progress;
} opt = {.base = {.backend = BACKEND_FP32},
         .shots = SIZE_MAX,
         .batch_tokens = 2048,
         .max_tokens = 256,
         .slots = 16};

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
    {OPT_STRING, 0, "delimiter", &opt.spec.delimiter, "TEXT",
     "between prompt and choice [one space]", NULL, 0, 0},
    {OPT_STRING, 0, "ending", &opt.spec.ending, "TEMPLATE",
     "choices are beginnings, and this follows them", NULL, 0, 0},
    {OPT_STRING, 0, "description", &opt.description, "TEXT", "put before everything", NULL, 0, 0},
    {OPT_STRING, 0, "examples", &opt.examples, "FILE", "solved questions to put before each", NULL,
     0, 0},
    {OPT_SIZE, 0, "shots", &opt.shots, "N", "the first N of the examples [all]", NULL, 0, 1e6},
    {OPT_FLAG, 0, "no-specials", &opt.no_specials, NULL, "no BOS before the text", NULL, 0, 0},
    {OPT_HEADING, 0, "Answers in the model's own words", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "generate", &opt.generate, NULL,
     "have answers generated, and compare them with the right ones", NULL, 0, 0},
    {OPT_LIST, 0, "until", &opt.until, "TEXT", "an answer ends before this; may be repeated", NULL,
     0, 0},
    {OPT_SIZE, 0, "max-tokens", &opt.max_tokens, "N", "and after so many tokens [256]", NULL, 1,
     1 << 30},
    {OPT_STRING, 0, "extract", &opt.extract, "REGEX", "what of it counts: the first group, or all",
     NULL, 0, 0},
    {OPT_FLAG, 0, "extract-last", &opt.extract_last, NULL, "the last match, not the first", NULL, 0,
     0},
    {OPT_LIST, 0, "ignore", &opt.ignored, "REGEX", "taken out of both sides; may be repeated", NULL,
     0, 0},
    {OPT_FLAG, 0, "ignore-case", &opt.answering.exact.ignore_case, NULL,
     "capitals are small letters", NULL, 0, 0},
    {OPT_FLAG, 0, "ignore-punctuation", &opt.answering.exact.ignore_punctuation, NULL,
     "without ASCII punctuation", NULL, 0, 0},
    {OPT_HEADING, 0, "Computing", NULL, NULL, NULL, NULL, 0, 0},
    TUNED_COMPUTING_OPTIONS(opt.base),
    {OPT_SIZE, 0, "batch-tokens", &opt.batch_tokens, "N",
     "score choices together up to that many tokens [2048]", NULL, 1, 1 << 24},
    {OPT_SIZE, 0, "batch", &opt.slots, "N", "answers that are generated together [16]", NULL, 1,
     4096},
    {OPT_CHOICE, 0, "progress", &opt.progress, NULL, "whether to show progress [auto]",
     progress_choices, 0, 0},
};

static const struct program program = {
    .name = "ft-score",
    .synopsis = "-m MODEL [-a ADAPTER[:WEIGHT]]... [OPTION]... [FILE]...\n"
                "  or:  ft-score --task list",
    .purpose = "Asks a model questions, with choices or without, and counts its right answers.",
    .notes =
        "Examples:\n"
        "  ft-score -m base --task arc arc_easy_test.jsonl\n"
        "  ft-score -m base -a adapter --compare --prompt '{{question}}\\nAnswer:' quiz.jsonl\n"
        "  ft-score -m base --task mmlu --examples dev.jsonl --shots 5 test.jsonl\n"
        "  ft-score -m base --task gsm8k --examples train.jsonl --shots 5 test.jsonl\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

struct session {
    struct tuned model;
    struct tokenizer *tokenizer;
    struct task *task;
    struct choices choices;
    struct answers answers; /* of a task that wants them, in the place of choices */
    struct progress progress;
    /* the questions' files */
    char *const *files;
    size_t n_files, file;
    struct input *in; /* NULL: none is open */
    struct buf line;
};

static bool is_answered(void)
{
    return opt.spec.answering != NULL;
}

/* ---- questions ---- */

/* The next object of a file: 1, 0 at the end, -1. */
static int next_object(struct session *s, json_t **object, struct err *err)
{
    int got = 0;
    while (s->file < (s->n_files ? s->n_files : 1)) {
        const char *path = s->n_files ? s->files[s->file] : NULL;
        if (!s->in && input_open(&s->in, path, err))
            return -1;
        got = json_next_line(s->in, &s->line, object, err);
        if (got)
            return got;
        input_close(s->in);
        s->in = NULL;
        s->file++;
    }
    return 0;
}

static int next_question(void *arg, struct task_item *item, struct err *err)
{
    struct session *s = arg;
    json_t *object;
    int got = next_object(s, &object, err);
    if (got <= 0)
        return got;
    if (task_make(s->task, object, item, err))
        got = err_prefix(err, "%s:%zu", input_name(s->in), input_line_number(s->in));
    json_decref(object);
    return got;
}

/* Solved questions, from a file of their own. */
static int read_examples(struct session *s, struct err *err)
{
    struct input *in;
    json_t *object;
    int got = 1;
    if (input_open(&in, opt.examples, err))
        return -1;
    for (size_t i = 0; i < opt.shots && got > 0; i++) {
        got = json_next_line(in, &s->line, &object, err);
        if (got <= 0)
            break;
        if (task_add_example(s->task, object, err))
            got = err_prefix(err, "%s:%zu", input_name(in), input_line_number(in));
        json_decref(object);
    }
    input_close(in);
    return got < 0 ? -1 : 0;
}

static void show_progress(void *arg, size_t questions, uint64_t tokens)
{
    struct session *s = arg;
    double seconds = clock_seconds() - s->progress.started;
    progress_draw(&s->progress, "%zu questions, %.0f tokens/s", questions,
                  (double)tokens / seconds);
}

static int choose(struct session *s, struct lora *const *sides, struct err *err)
{
    const struct choice_options how = {.decoder = s->model.decoder,
                                       .sides = sides,
                                       .n_sides = 1u + opt.compare,
                                       .tokenizer = s->tokenizer,
                                       .no_specials = opt.no_specials,
                                       .batch_tokens = opt.batch_tokens};
    struct chooser *chooser = chooser_new(&how, &s->choices);
    struct task_item item;
    int got;
    task_item_init(&item);
    while ((got = next_question(s, &item, err)) > 0) {
        if (chooser_add(chooser, &item, err)) {
            got = err_prefix(err, "%s:%zu", input_name(s->in), input_line_number(s->in));
            break;
        }
        show_progress(s, s->choices.n, s->choices.tokens);
    }
    if (!got)
        got = chooser_finish(chooser, err);
    task_item_release(&item);
    chooser_free(chooser);
    return got;
}

static int answer(struct session *s, struct lora *const *sides, struct err *err)
{
    struct answer_options how = {.decoder = s->model.decoder,
                                 .sides = sides,
                                 .n_sides = 1u + opt.compare,
                                 .tokenizer = s->tokenizer,
                                 .task = opt.spec.answering,
                                 .no_specials = opt.no_specials,
                                 .max_tokens = opt.max_tokens,
                                 .slots = opt.slots,
                                 .next = next_question,
                                 .progress = show_progress,
                                 .arg = s};
    uint32_t *ends = tuned_end_ids(&s->model, s->tokenizer, &how.n_end_ids);
    how.end_ids = ends;
    int status = answers_ask(&how, &s->answers, err);
    free(ends);
    return status;
}

static int ask(struct session *s, struct err *err)
{
    struct lora *sides[] = {opt.compare ? NULL : s->model.adapter, s->model.adapter};
    int status = is_answered() ? answer(s, sides, err) : choose(s, sides, err);
    progress_clear(&s->progress);
    if (!status && !s->choices.n && !s->answers.n)
        status = err_set(err, "there are no questions");
    return status;
}

/* ---- the result ---- */

static int print(const struct session *s, struct err *err)
{
    const struct score_report report = {.task = opt.task,
                                        .choices = &s->choices,
                                        .answers = is_answered() ? &s->answers : NULL,
                                        .answering = opt.spec.answering,
                                        .compare = opt.compare,
                                        .backend =
                                            backend_choices[decoder_backend(s->model.decoder)]};
    struct output *out;
    struct buf b = BUF_INIT;
    size_t n = is_answered() ? s->answers.n : s->choices.n;
    if (output_open(&out, opt.output, err))
        return -1;
    int rc = 0;
    for (size_t i = 0; i < (opt.per_question ? n : 1) && !rc; i++) {
        buf_clear(&b);
        if (opt.per_question)
            score_report_question(&report, i, &b);
        else
            score_report_all(&report, &b);
        rc = output_write(out, b.p, b.len, err);
    }
    buf_release(&b);
    return output_end(out, rc, err);
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
    opt.spec.separator = from->separator;
    opt.spec.answering = opt.generate ? &opt.answering : from->answering;
    opt.spec.prompt = opt.spec.prompt ? opt.spec.prompt : from->prompt;
    opt.spec.choices = opt.spec.choices ? opt.spec.choices : from->choices;
    opt.spec.answer = opt.spec.answer ? opt.spec.answer : from->answer;
    opt.spec.ending = opt.spec.ending ? opt.spec.ending : from->ending;
    opt.description = opt.description ? opt.description : from->description;
    opt.answering.until = opt.until.items;
    opt.answering.n_until = opt.until.n;
    opt.answering.exact.ignored = opt.ignored.items;
    opt.answering.exact.n_ignored = opt.ignored.n;
    opt.answering.exact.n_filters = 1;
    opt.answering.exact.filters[0] = (struct exact_filter){
        .name = "exact_match", .pattern = opt.extract, .last = opt.extract_last, .strip = true};
}

static int open_task(struct session *s, struct err *err)
{
    if (task_new(&s->task, &opt.spec, err))
        return -1;
    if (opt.description)
        task_describe(s->task, opt.description);
    return opt.examples ? read_examples(s, err) : 0;
}

static void session_release(struct session *s)
{
    choices_release(&s->choices);
    answers_release(&s->answers);
    input_close(s->in);
    buf_release(&s->line);
    task_free(s->task);
    tokenizer_free(s->tokenizer);
    tuned_close(&s->model);
}

static int score(struct session *s, struct err *err)
{
    if (open_task(s, err) || open_model(s, err) || ask(s, err))
        return -1;
    uint64_t truncated = s->choices.truncated + s->answers.truncated;
    if (truncated)
        warn("warning: the beginning of %" PRIu64
             " questions was left out: they are longer than the model takes",
             truncated);
    return print(s, err);
}

static void list_tasks(void)
{
    for (const struct task_preset *p = task_presets; p->name; p++)
        printf("%-16s %s\n", p->name, p->about);
}

static bool asks_for_answers(void)
{
    const struct exact_spec *e = &opt.answering.exact;
    return opt.until.n || opt.extract || opt.extract_last || opt.ignored.n || e->ignore_case ||
           e->ignore_punctuation;
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
    if (!opt.generate && asks_for_answers())
        usage_error("--until, --extract and --ignore go with --generate");
    for (size_t i = 0; i < opt.until.n; i++)
        if (!*opt.until.items[i])
            usage_error("--until: an empty text stands everywhere");
    if (opt.generate && (opt.spec.choices || opt.spec.ending))
        usage_error("--generate has no --choices and no --ending");
    settle_spec();
    program_sandbox(argv + first, false);
    progress_init(&s.progress, (enum progress_when)opt.progress);
    buf_init(&s.line);
    s.files = argv + first;
    s.n_files = (size_t)(argc - first);
    int rc = score(&s, &err);
    session_release(&s);
    if (rc)
        die("%s", err.msg);
    return 0;
}
