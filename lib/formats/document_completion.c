#include "formats/document_completion.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/document_messages.h"

json_t *document_get(const struct document *d, const char *key)
{
    json_t *v = json_object_get(d->object, key);
    return json_is_null(v) ? NULL : v;
}

int document_get_text(const struct document *d, const char *key, const char *name, struct buf *out,
                      struct err *err)
{
    const json_t *v = document_get(d, key);
    if (!json_is_string(v))
        return err_set(err, "%s is %s, expected a string", name, json_kind(v));
    buf_add(out, json_string_value(v), json_string_length(v));
    return 0;
}

/* ---- instruction, input, output ---- */

/* The frame of Stanford's Alpaca, without which its descendants don't recognise an instruction.
 * With a newline at its end, as alpaca-lora, Axolotl, torchtune and LLaMA-Factory write it: the
 * first script had none, so that the answer began in the line of "### Response:". */
static void add_alpaca(struct buf *out, const char *instruction, const char *input)
{
    if (*input)
        buf_addf(
            out,
            "Below is an instruction that describes a task, paired with an input that provides "
            "further context. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\n%s\n\n### Input:\n%s\n\n### Response:\n",
            instruction, input);
    else
        buf_addf(out,
                 "Below is an instruction that describes a task. Write a response that "
                 "appropriately completes the request.\n\n"
                 "### Instruction:\n%s\n\n### Response:\n",
                 instruction);
}

int alpaca_read(struct document *d, const char *name, struct err *err)
{
    struct buf instruction = BUF_INIT, input = BUF_INIT;
    int rc = document_get_text(d, "instruction", "instruction", &instruction, err);
    if (!rc && document_get(d, "input"))
        rc = document_get_text(d, "input", "input", &input, err);
    if (!rc && (strlen(instruction.p) != instruction.len || strlen(input.p) != input.len))
        rc = err_set(err, "instruction or input holds U+0000");
    if (!rc && document_get(d, "output"))
        rc = document_get_text(d, "output", name, &d->completion, err);
    if (!rc) {
        add_alpaca(&d->text, instruction.p, input.p);
        buf_add(&d->question, instruction.p, instruction.len);
        if (input.len)
            buf_addf(&d->question, "\n\n%s", input.p);
        d->is_alpaca = true;
    }
    buf_release(&instruction);
    buf_release(&input);
    return rc;
}

/* ---- prompt and completion ---- */

int completion_read(struct document *d, const char *name, struct err *err)
{
    const json_t *prompt = document_get(d, "prompt"), *completion = document_get(d, "completion");
    if (json_is_array(prompt) || json_is_array(completion)) {
        if (!json_is_array(prompt) || !json_is_array(completion))
            return err_set(err,
                           "prompt is %s and %s is %s: both must be strings or both lists of "
                           "messages",
                           json_kind(prompt), name, json_kind(completion));
        d->shape = DOCUMENT_MESSAGES;
        d->n_prompt = json_array_size(prompt);
        if (!d->n_prompt || !json_array_size(completion))
            return err_set(err, "%s is empty", d->n_prompt ? name : "prompt");
        return messages_read(d, "prompt", prompt, err) || messages_read(d, name, completion, err)
                   ? -1
                   : 0;
    }
    if (document_get_text(d, "prompt", "prompt", &d->text, err) ||
        document_get_text(d, "completion", name, &d->completion, err))
        return -1;
    buf_add(&d->question, d->text.p, d->text.len);
    return 0;
}

int question_read(struct document *d, struct err *err)
{
    const json_t *prompt = document_get(d, "prompt");
    if (!prompt)
        return alpaca_read(d, "output", err);
    if (json_is_array(prompt)) {
        d->shape = DOCUMENT_MESSAGES;
        return messages_read(d, "prompt", prompt, err);
    }
    if (document_get_text(d, "prompt", "prompt", &d->text, err))
        return -1;
    buf_add(&d->question, d->text.p, d->text.len);
    return 0;
}

void document_make_chat(struct document *d)
{
    json_t *user =
        json_pack("{s:s, s:s%}", "role", "user", "content", d->question.p, d->question.len);
    json_t *messages = json_array();
    json_array_append_new(messages, user);
    if (d->shape == DOCUMENT_COMPLETION)
        json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", "assistant", "content",
                                                  d->completion.p, d->completion.len));
    json_decref(d->messages);
    d->messages = messages;
    if (d->train_cap < 2) {
        d->train = xrealloc(d->train, 2);
        d->message_weights = xreallocarray(d->message_weights, 2, sizeof *d->message_weights);
        d->train_cap = 2;
    }
    d->train[0] = d->train[1] = TRAIN_DEFAULT;
    d->message_weights[0] = d->message_weights[1] = 1;
    d->n_prompt = 1;
    d->shape = DOCUMENT_MESSAGES;
}
