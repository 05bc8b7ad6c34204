/* The tasks whose files are in common use, as lm-evaluation-harness asks them. */
#include <string.h>

#include "base/mem.h"
#include "text/task.h"

/* HellaSwag's text has marks of the pages that it was taken from. */
#define HELLASWAG_CLEAN                                                                            \
    "{%- macro clean(text) -%}"                                                                    \
    "{%- set parts = text.strip().replace(' [title]', '. ').split('[') -%}"                        \
    "{%- set ns = namespace(out=parts[0]) -%}"                                                     \
    "{%- for part in parts[1:] -%}"                                                                \
    "{%- set ns.out = ns.out + (part.split(']', 1)[1] if ']' in part else '[' + part) -%}"         \
    "{%- endfor -%}"                                                                               \
    "{{- ns.out.replace('  ', ' ') -}}"                                                            \
    "{%- endmacro -%}"                                                                             \
    "{%- set cleaned = namespace(list=[]) -%}"                                                     \
    "{%- for ending in endings -%}"                                                                \
    "{%- set cleaned.list = cleaned.list + [clean(ending)] -%}"                                    \
    "{%- endfor -%}"

#define QUESTION "Question: {{question}}\nAnswer:"

/* A number behind "####", as in the examples; or the last number that there is. */
static const char *const gsm8k_until[] = {"Question:", "</s>", "<|im_end|>"};
static const char *const gsm8k_ignored[] = {",", "\\$", "(?s).*#### ", "\\.$"};
static const struct task_answering gsm8k = {
    .until = gsm8k_until,
    .n_until = ARRAY_SIZE(gsm8k_until),
    .exact = {.filters = {{.name = "strict_match", .pattern = "#### (\\-?[0-9\\.\\,]+)"},
                          {.name = "flexible_extract",
                           .pattern = "(-?[$0-9.,]{2,})|(-?[0-9]+)",
                           .last = true}},
              .n_filters = 2,
              .ignored = gsm8k_ignored,
              .n_ignored = ARRAY_SIZE(gsm8k_ignored),
              .ignore_case = true}};

/* A few words, up to the end of the clause. */
static const char *const clause[] = {"\n", ".", ","};
static const struct task_answering short_answer = {
    .until = clause,
    .n_until = ARRAY_SIZE(clause),
    .exact = {.filters = {{.name = "exact_match", .strip = true}},
              .n_filters = 1,
              .ignore_case = true,
              .ignore_punctuation = true}};
static const char *const articles[] = {"\\b(?:The |the |An |A |The |a |an )"};
static const struct task_answering without_article = {
    .until = clause,
    .n_until = ARRAY_SIZE(clause),
    .exact = {.filters = {{.name = "exact_match", .strip = true}},
              .n_filters = 1,
              .ignored = articles,
              .n_ignored = 1,
              .ignore_case = true,
              .ignore_punctuation = true}};

const struct task_preset task_presets[] = {
    {"arc",
     "AI2's science questions, ARC-Easy and ARC-Challenge",
     {.prompt = QUESTION, .choices = "choices.text", .answer = "choices.label.index(answerKey)"}},
    {"boolq",
     "yes or no about a passage",
     {.prompt = "{{passage}}\nQuestion: {{question}}?\nAnswer:",
      .choices = "['no', 'yes']",
      .answer = "(label if label is defined else answer) | int"}},
    {"commonsense_qa",
     "five choices, asked by letter",
     {.prompt = "Question: {{ question.strip() }}\nA. {{choices['text'][0]}}\n"
                "B. {{choices['text'][1]}}\nC. {{choices['text'][2]}}\nD. {{choices['text'][3]}}\n"
                "E. {{choices['text'][4]}}\nAnswer:",
      .choices = "['A', 'B', 'C', 'D', 'E']",
      .answer = "answerKey"}},
    {"gsm8k",
     "sums in words, answered step by step",
     {.prompt = QUESTION, .answer = "answer", .answering = &gsm8k}},
    {"hellaswag",
     "how a scene goes on",
     {.prelude = HELLASWAG_CLEAN,
      .prompt = "{{ clean(activity_label + ': ' + ctx_a + ' ' + ctx_b.capitalize()) }}",
      .choices = "cleaned.list",
      .answer = "label | int"}},
    {"mmlu",
     "57 subjects, four choices, asked by letter",
     {.prompt = "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\n"
                "C. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
      .choices = "['A', 'B', 'C', 'D']",
      .answer = "answer"}},
    {"nq_open",
     "questions that people searched for, answered in a few words",
     {.prompt = "Q: {{question}}?\nA:",
      .answer = "answer",
      .description = "Answer these questions:\n\n",
      .separator = "\n",
      .answering = &without_article}},
    {"openbookqa",
     "elementary science",
     {.prompt = "{{question_stem}}",
      .choices = "choices.text",
      .answer = "choices.label.index(answerKey.lstrip())"}},
    {"piqa",
     "physical common sense, two choices",
     {.prompt = "Question: {{goal}}\nAnswer:", .choices = "[sol1, sol2]", .answer = "label | int"}},
    {"sciq",
     "science questions with their passage",
     {.prompt = "{{support.lstrip()}}\nQuestion: {{question}}\nAnswer:",
      .choices = "[distractor1, distractor2, distractor3, correct_answer]",
      .answer = "3"}},
    {"triviaqa",
     "general knowledge without a passage, answered in a few words",
     {.prompt = "Question: {{question}}?\nAnswer:",
      .answer = "answer.aliases",
      .answering = &short_answer}},
    {"winogrande",
     "which of two a sentence speaks of",
     {.prelude = "{%- set parts = sentence.split('_', 1) -%}",
      .prompt = "{{ parts[0] }}",
      .choices = "[parts[0] + option1, parts[0] + option2]",
      .answer = "(answer | int) - 1",
      .ending = "{{ parts[1].strip() }}"}},
    {0},
};

const struct task_spec *task_preset(const char *name)
{
    for (const struct task_preset *p = task_presets; p->name; p++)
        if (!strcmp(p->name, name))
            return &p->spec;
    return NULL;
}
