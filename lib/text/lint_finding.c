#include "text/lint_finding.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"

const char *const lint_severity_names[] = {"ignored", "warning", "error"};

const struct lint_kind_info lint_kinds[N_LINT_KINDS] = {
    [LINT_JSON] = {"json", "no JSON", LINT_ERROR, false,
                   "repair the lines that are no JSON; look at what wrote them"},
    [LINT_SHAPE] = {"shape", "of no known shape", LINT_ERROR, false,
                    "give each document the keys of ft-documents(5), or name them with --field"},
    [LINT_EMPTY] = {"empty", "nothing to learn", LINT_ERROR, false,
                    "fill in or drop documents with an empty answer"},
    [LINT_ROLES] = {"roles", "wrong order of roles", LINT_ERROR, false,
                    "put turns in order: system, then user and assistant by turns"},
    [LINT_UNANSWERED] = {"unanswered", "no answer at the end", LINT_ERROR, false,
                         "end every conversation with the assistant's answer"},
    [LINT_TOOLS] = {"tools", "unbalanced tool calls", LINT_ERROR, false,
                    "give each call its answer and each answer its call"},
    [LINT_TEMPLATE] = {"template", "refused by the chat template", LINT_ERROR, false,
                       "fit conversations to what the model's chat template takes"},
    [LINT_UNTRAINED] = {"untrained", "no learnt token", LINT_ERROR, false,
                        "see with ft-tok --render why nothing is learnt"},
    [LINT_NO_END] =
        {"no-end", "end of turn not learnt", LINT_ERROR, false,
         "use a chat template that ends the assistant's turns, or the model won't stop"},
    [LINT_LEAK] = {"leak", "held-out document", LINT_ERROR, false,
                   "take the held-out documents out, or the evaluation says nothing"},
    [LINT_SECRET] = {"secret", "key or password", LINT_ERROR, false,
                     "remove keys and passwords, and have them changed: a model can repeat them"},
    [LINT_DUPLICATE] = {"duplicate", "exact duplicate", LINT_ERROR, true,
                        "drop duplicates with --fix"},
    [LINT_LONG] = {"long", "longer than --length", LINT_ERROR, false,
                   "shorten or split long documents where a reader would, or raise --length"},
    [LINT_PERSONAL] = {"personal", "personal data", LINT_WARNING, false,
                       "replace personal data by invented ones: a model can repeat them"},
    [LINT_NEAR_DUPLICATE] = {"near-duplicate", "near duplicate", LINT_WARNING, true,
                             "drop near duplicates with --fix"},
    [LINT_PROMPT_LEAK] = {"prompt-leak", "held-out prompt", LINT_WARNING, false,
                          "hold out other prompts than those that are trained on"},
    [LINT_CONFLICT] = {"conflict", "same prompt, other answer", LINT_WARNING, false,
                       "decide which answer to a prompt is right"},
    [LINT_MOJIBAKE] = {"mojibake", "wrongly decoded text", LINT_WARNING, false,
                       "read the source in its own encoding"},
    [LINT_CUT_OFF] = {"cut-off", "breaks off", LINT_WARNING, false,
                      "complete answers that break off, or the model learns to"},
    [LINT_MARKERS] = {"markers", "markers of a chat template", LINT_WARNING, false,
                      "remove markers from the text: the chat template writes them"},
    [LINT_REPETITION] = {"repetition", "repeats itself", LINT_WARNING, false,
                         "drop or shorten documents that repeat themselves"},
    [LINT_CONTROL] = {"control", "odd control characters", LINT_WARNING, false,
                      "remove invisible characters"},
    [LINT_TINY] = {"tiny", "hardly any text", LINT_WARNING, false,
                   "check that short documents are meant to be so"},
    [LINT_LANGUAGE] = {"language", "another language", LINT_WARNING, false,
                       "check documents in another language than most"},
};

int lint_kind_of_name(const char *name, size_t len)
{
    for (int i = 0; i < N_LINT_KINDS; i++)
        if (strlen(lint_kinds[i].name) == len && !memcmp(lint_kinds[i].name, name, len))
            return i;
    return -1;
}

void lint_findings_init(struct lint_findings *f)
{
    *f = (struct lint_findings){.n = 0};
    buf_init(&f->text);
}

void lint_findings_release(struct lint_findings *f)
{
    free(f->items);
    buf_release(&f->text);
    lint_findings_init(f);
}

void lint_findings_clear(struct lint_findings *f)
{
    f->n = 0;
    buf_clear(&f->text);
}

/* A message is cut at bytes, so its end may be half a character. */
void lint_tame(struct buf *b, size_t from)
{
    for (size_t i = from; i < b->len;) {
        size_t part, n = utf8_well_formed(b->p + i, b->len - i, &part);
        unsigned char c = (unsigned char)b->p[i];
        bool c1 = c == 0xc2 && n == 2 && (unsigned char)b->p[i + 1] < 0xa0;
        if (c < ' ' || c == 0x7f || c1)
            memset(b->p + i, ' ', n);
        else if (!n)
            memset(b->p + i, '?', part);
        i += n ? n : part;
    }
}

struct lint_finding *lint_found(struct lint_findings *f, enum lint_kind kind, const char *where,
                                const char *fmt, ...)
{
    va_list ap;
    ARRAY_GROW(f->items, f->n, f->cap);
    struct lint_finding *x = &f->items[f->n++];
    *x = (struct lint_finding){.kind = kind, .where = f->text.len, .other_file = UINT32_MAX};
    buf_addstr(&f->text, where);
    lint_tame(&f->text, x->where);
    buf_addch(&f->text, 0);
    x->message = f->text.len;
    va_start(ap, fmt);
    buf_vaddf(&f->text, fmt, ap);
    va_end(ap);
    lint_tame(&f->text, x->message);
    buf_addch(&f->text, 0);
    return x;
}

bool lint_has(const struct lint_findings *f, enum lint_kind kind)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->items[i].kind == kind)
            return true;
    return false;
}
