#include "model/score_report.h"

#include <inttypes.h>
#include <string.h>

#include "formats/json.h"

/* ---- measures: how right an answer can be ---- */

static size_t count_measures(const struct score_report *r)
{
    return r->answers ? r->answering->exact.n_filters : CHOICE_MEASURES;
}

static const char *measure_name(const struct score_report *r, size_t m)
{
    return r->answers ? r->answering->exact.filters[m].name : choice_measure_names[m];
}

static struct accuracy accuracy(const struct score_report *r, size_t side, size_t m)
{
    return r->answers ? answers_accuracy(r->answers, side, m)
                      : choices_accuracy(r->choices, side, (enum choice_measure)m);
}

static struct accuracy difference(const struct score_report *r, size_t m)
{
    return r->answers ? answers_difference(r->answers, m)
                      : choices_difference(r->choices, (enum choice_measure)m);
}

/* ---- all questions ---- */

enum { DIFFERENCE = 2 }; /* as a side */

/* Without braces. */
static void add_side(const struct score_report *r, size_t side, struct buf *b)
{
    for (size_t m = 0; m < count_measures(r); m++) {
        struct accuracy a = side == DIFFERENCE ? difference(r, m) : accuracy(r, side, m);
        buf_addf(b, "%s\"%s\":", m ? "," : "", measure_name(r, m));
        json_add_real(b, a.mean);
        buf_addf(b, ",\"%s_stderr\":", measure_name(r, m));
        json_add_real(b, a.stderr_);
    }
}

void score_report_all(const struct score_report *r, struct buf *b)
{
    static const char *const names[] = {"base", "tuned", "difference"};
    buf_addstr(b, "{\"task\":");
    if (r->task)
        json_add_string(b, r->task, strlen(r->task));
    else
        buf_addstr(b, "null");
    buf_addf(b, ",\"questions\":%zu,", r->answers ? r->answers->n : r->choices->n);
    for (size_t side = 0; r->compare && side <= DIFFERENCE; side++) {
        buf_addf(b, "%s\"%s\":{", side ? "," : "", names[side]);
        add_side(r, side, b);
        buf_addch(b, '}');
    }
    if (!r->compare)
        add_side(r, 0, b);
    buf_addf(b, ",\"tokens\":%" PRIu64 ",\"truncated\":%" PRIu64 ",\"backend\":\"%s\"}\n",
             r->answers ? r->answers->tokens : r->choices->tokens,
             r->answers ? r->answers->truncated : r->choices->truncated, r->backend);
}

/* ---- one question ---- */

static void add_id(const json_t *id, struct buf *b)
{
    buf_addstr(b, "{\"id\":");
    if (id)
        json_add(b, id);
    else
        buf_addstr(b, "null");
}

static void add_choices(const struct choice_question *q, size_t side, const char *prefix,
                        struct buf *b)
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

static void add_right_choices(const struct choice_question *q, struct buf *b)
{
    const char *comma = "";
    buf_addstr(b, ",\"right\":[");
    for (size_t i = 0; i < q->n; i++)
        if (q->choices[i].right) {
            buf_addf(b, "%s%zu", comma, i);
            comma = ",";
        }
    buf_addch(b, ']');
}

static void add_answer(const struct score_report *r, const struct answer_side *side,
                       const char *prefix, struct buf *b)
{
    buf_addf(b, ",\"%sanswer\":", prefix);
    json_add_string(b, side->text.p, side->text.len);
    buf_addf(b, ",\"%sextracts\":", prefix);
    for (size_t m = 0; m < count_measures(r); m++) {
        buf_addch(b, m ? ',' : '[');
        json_add_string(b, side->extracts[m].p, side->extracts[m].len);
    }
    buf_addch(b, ']');
    for (size_t m = 0; m < count_measures(r); m++)
        buf_addf(b, ",\"%s%s\":%d", prefix, measure_name(r, m), side->right[m]);
}

void score_report_question(const struct score_report *r, size_t i, struct buf *b)
{
    static const char *const prefixes[] = {"base_", "tuned_"};
    if (r->answers) {
        add_id(r->answers->questions[i].id, b);
        buf_addstr(b, ",\"right\":");
        json_add(b, r->answers->questions[i].right);
    } else {
        add_id(r->choices->questions[i].id, b);
        add_right_choices(&r->choices->questions[i], b);
    }
    for (size_t side = 0; side < 1u + r->compare; side++) {
        const char *prefix = r->compare ? prefixes[side] : "";
        if (r->answers)
            add_answer(r, &r->answers->questions[i].sides[side], prefix, b);
        else
            add_choices(&r->choices->questions[i], side, prefix, b);
    }
    buf_addstr(b, "}\n");
}
