#include "model/conversation.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/typed.h"
#include "formats/json.h"

struct conversation {
    const struct conversation_options *options;
    struct typed *typed;
    bool shown_on_terminal;
    json_t *messages;       /* what was said; the last is the user's or an answer */
    struct buf line, shown; /* the last line; what is about to be shown */
    size_t n_shown;         /* bytes of the answer that stand there already */
};

/* ---- what is typed ---- */

/* What only somebody at a terminal wants to be told. */
static void tell(const struct conversation *c, const char *text)
{
    if (typed_on_terminal(c->typed))
        fputs(text, c->options->talk);
}

static bool ends_in_backslash(struct conversation *c)
{
    if (!c->line.len || c->line.p[c->line.len - 1] != '\\')
        return false;
    c->line.p[c->line.len - 1] = '\n';
    return true;
}

/* Asks until something is said; a line that ends in a backslash goes on in the next. */
static enum typed_got ask(struct conversation *c, struct err *err)
{
    for (;;) {
        buf_clear(&c->line);
        tell(c, "> ");
        enum typed_got got = typed_line(c->typed, &c->line, err);
        while (got == TYPED_LINE && ends_in_backslash(c)) {
            tell(c, "... ");
            got = typed_line(c->typed, &c->line, err);
        }
        if (got == TYPED_INTERRUPT)
            tell(c, "\n(Ctrl-D ends, /help says more)\n");
        else if (got == TYPED_CUT)
            tell(c, "A terminal cuts lines of over 4094 bytes. "
                    "End them in \\ to go on in the next.\n");
        else if (got != TYPED_LINE || c->line.len)
            return got;
    }
}

/* ---- what was said ---- */

static bool is_last_of(const struct conversation *c, const char *role)
{
    size_t n = json_array_size(c->messages);
    const json_t *last = json_array_get(c->messages, n - 1);
    return n && !strcmp(json_string_value(json_object_get(last, "role")), role);
}

static bool take_back(struct conversation *c, const char *role)
{
    bool there = is_last_of(c, role);
    if (there)
        json_array_remove(c->messages, json_array_size(c->messages) - 1);
    return there;
}

/* false: the text is no UTF-8. */
static bool say(struct conversation *c, const char *role, const char *text, size_t len)
{
    json_t *message = json_pack("{s:s,s:s%}", "role", role, "content", text, len);
    return message && !json_array_append_new(c->messages, message);
}

static void begin_again(struct conversation *c, const char *system)
{
    json_array_clear(c->messages);
    if (system && !say(c, "system", system, strlen(system)))
        tell(c, "That is no UTF-8.\n");
}

static int show(struct conversation *c, struct err *err)
{
    return output_write(c->options->out, c->shown.p, c->shown.len, err) ||
                   output_flush(c->options->out, err)
               ? -1
               : 0;
}

static int show_messages(struct conversation *c, struct err *err)
{
    buf_clear(&c->shown);
    buf_addstr(&c->shown, "{\"messages\":");
    json_add(&c->shown, c->messages);
    buf_addstr(&c->shown, "}\n");
    return show(c, err);
}

/* ---- commands ---- */

static const char help[] = "/reset        forget what was said\n"
                           "/system TEXT  the same, and begin with this system message\n"
                           "/undo         take back the last question and its answer\n"
                           "/again        another answer to the last question\n"
                           "/show         what was said, as a document for training\n"
                           "/help         this\n"
                           "/quit         end, as Ctrl-D does\n"
                           "A line that ends in \\ goes on in the next. Ctrl-C ends an answer.\n";

enum next { NEXT_ASK, NEXT_ANSWER, NEXT_END, NEXT_ERROR };

/* One word and what follows it; "/etc/hosts" is none. */
static bool is_command(const char *line)
{
    size_t len = strcspn(line + 1, " \t");
    return *line == '/' && len && !memchr(line + 1, '/', len);
}

static enum next obey_about_messages(struct conversation *c, const char *command, const char *rest,
                                     struct err *err)
{
    if (!strcmp(command, "/reset")) {
        begin_again(c, NULL);
    } else if (!strcmp(command, "/system")) {
        begin_again(c, *rest ? rest : NULL);
    } else if (!strcmp(command, "/undo")) {
        take_back(c, "assistant");
        if (!take_back(c, "user"))
            tell(c, "Nothing was asked.\n");
    } else if (!strcmp(command, "/again")) {
        take_back(c, "assistant");
        if (is_last_of(c, "user"))
            return NEXT_ANSWER;
        tell(c, "Nothing was asked.\n");
    } else if (!strcmp(command, "/show")) {
        return show_messages(c, err) ? NEXT_ERROR : NEXT_ASK;
    } else {
        fprintf(c->options->talk,
                "%s is no command; /help names them. Put a blank before what isn't meant as one.\n",
                command);
    }
    return NEXT_ASK;
}

static enum next obey(struct conversation *c, struct err *err)
{
    char *command = c->line.p, *rest = command + strcspn(command, " \t");
    if (*rest)
        *rest++ = 0;
    rest += strspn(rest, " \t");
    if (!strcmp(command, "/quit") || !strcmp(command, "/exit") || !strcmp(command, "/bye"))
        return NEXT_END;
    if (!strcmp(command, "/help") || !strcmp(command, "/?")) {
        fputs(help, c->options->talk);
        return NEXT_ASK;
    }
    if (c->options->apart) {
        fputs("Each line is a prompt of its own here; there are /help and /quit.\n",
              c->options->talk);
        return NEXT_ASK;
    }
    return obey_about_messages(c, command, rest, err);
}

/* ---- questions ---- */

/* Takes the line, which ends the conversation, changes it, or is to be answered. */
static enum next take_line(struct conversation *c, struct err *err)
{
    switch (ask(c, err)) {
    case TYPED_END:
        tell(c, "\n");
        return NEXT_END;
    case TYPED_ERROR:
        return NEXT_ERROR;
    default:
        break;
    }
    if (is_command(c->line.p))
        return obey(c, err);
    if (!c->options->apart && !say(c, "user", c->line.p, c->line.len)) {
        fputs("That is no UTF-8.\n", c->options->talk);
        return NEXT_ASK;
    }
    return NEXT_ANSWER;
}

/* 1 and a prompt; 0 where none can be made, which is told, and the question is taken back. */
static int make_prompt(struct conversation *c, struct prompt *p)
{
    const struct conversation_options *o = c->options;
    size_t most = decoder_config(o->respond.decoder)->max_positions;
    struct err why;
    int status = o->apart ? prompt_from_text(p, o->reader, c->line.p, c->line.len, &why)
                          : prompt_from_messages(p, o->reader, c->messages, &why);
    if (!status && !p->n)
        status = err_set(&why, "there is nothing in it");
    if (!status && p->n >= most)
        status = err_set(&why, "%zu tokens leave no room for an answer, the model takes %zu%s",
                         p->n, most, o->apart ? "" : "; /reset begins again");
    if (!status)
        return 1;
    fprintf(o->talk, "%s\n", why.msg);
    take_back(c, "user");
    prompt_release(p);
    return 0;
}

static int next_prompt(void *arg, struct prompt *p, struct err *err)
{
    struct conversation *c = arg;
    for (;;) {
        enum next next = take_line(c, err);
        if (next == NEXT_ERROR || next == NEXT_END)
            return next == NEXT_END ? 0 : -1;
        if (next == NEXT_ANSWER && make_prompt(c, p))
            break;
    }
    c->n_shown = 0;
    return 1;
}

/* ---- answers ---- */

/* A model's text may hold what a terminal obeys. C1 controls are two bytes in UTF-8, 0xc2 first. */
static void add_harmless(struct conversation *c, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i],
                      after = i + 1 < len ? (unsigned char)text[i + 1] : 0;
        if (c->shown_on_terminal &&
            ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f)) {
            buf_addch(&c->shown, '^');
            buf_addch(&c->shown, (char)(byte ^ 0x40));
        } else if (c->shown_on_terminal && byte == 0xc2 && after >= 0x80 && after < 0xa0) {
            buf_addf(&c->shown, "^[%c", after - 0x40);
            i++;
        } else {
            buf_addch(&c->shown, text[i]);
        }
    }
}

/* Of two sides nothing is shown before both are complete. */
static int show_growth(void *arg, const struct response *r, struct err *err)
{
    struct conversation *c = arg;
    const struct completion *answer = &r->sides[0].completion;
    size_t settled = completion_settled(answer);
    if (typed_interrupted())
        return 1;
    if (c->options->respond.n_sides > 1 || settled <= c->n_shown)
        return 0;
    buf_clear(&c->shown);
    add_harmless(c, answer->text.p + c->n_shown, settled - c->n_shown);
    c->n_shown = settled;
    return show(c, err);
}

static void tell_end(const struct conversation *c, const struct response_side *side)
{
    const struct respond_options *r = &c->options->respond;
    if (typed_interrupted())
        tell(c, "(interrupted)\n");
    else if (side->finish == FINISH_LENGTH)
        fprintf(c->options->talk, "(cut after %zu tokens; --max-tokens)\n", r->generate.max_tokens);
    else if (side->finish == FINISH_CONTEXT)
        fprintf(c->options->talk, "(cut: the model has room for %zu tokens in all)\n",
                decoder_config(r->decoder)->max_positions);
}

static int put_response(void *arg, const struct response *r, struct err *err)
{
    struct conversation *c = arg;
    size_t n_sides = c->options->respond.n_sides;
    buf_clear(&c->shown);
    for (size_t i = 0; i < n_sides; i++) {
        const struct buf *text = &r->sides[i].completion.text;
        if (n_sides > 1)
            buf_addstr(&c->shown, i ? "[tuned] " : "[base] ");
        add_harmless(c, text->p + c->n_shown, text->len - c->n_shown);
        buf_addch(&c->shown, '\n');
    }
    if (show(c, err))
        return -1;
    tell_end(c, &r->sides[0]);
    typed_forget(c->typed);
    const struct buf *answer = &r->sides[0].completion.text;
    if (!c->options->apart && !say(c, "assistant", answer->p, answer->len))
        return err_set(err, "the answer is no UTF-8");
    return 0;
}

int conversation_hold(const struct conversation_options *options, struct err *err)
{
    struct conversation c = {.options = options,
                             .shown_on_terminal = isatty(output_fd(options->out)),
                             .messages = json_array()};
    struct respond_options how = options->respond;
    buf_init(&c.line);
    buf_init(&c.shown);
    how.next = next_prompt;
    how.put = put_response;
    how.grown = show_growth;
    how.step = NULL;
    how.arg = &c;
    how.samples = how.generate.slots = 1;
    how.generate.reuse = true;
    int status = typed_open(&c.typed, options->in, err);
    if (!status)
        status = respond(&how, err);
    typed_close(c.typed);
    json_decref(c.messages);
    buf_release(&c.line);
    buf_release(&c.shown);
    return status;
}
