#include "model/respond.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SAMPLE_BITS = 16 }; /* of a stream's number; the prompt's is above */

/* A prompt and how many of its responses are not released. */
struct shared_prompt {
    struct prompt prompt;
    size_t users;
};

struct job;

/* What a generator gets to give tokens to. */
struct ticket {
    struct job *job;
    size_t side;
};

struct job {
    struct response response;
    struct ticket tickets[RESPOND_MAX_SIDES];
    struct shared_prompt *prompt;
    struct responder *owner;
};

struct responder {
    const struct respond_options *options;
    struct generator *generators[RESPOND_MAX_SIDES];
    struct job **jobs; /* [first, n) are not complete or wait for one before them */
    size_t first, n, cap;
    struct shared_prompt *current; /* whose samples are being submitted; NULL: none */
    size_t next_sample;
    uint64_t n_prompts, tokens;
    bool ended; /* there are no more prompts */
};

static void prompt_unref(struct shared_prompt *p)
{
    if (!p || --p->users)
        return;
    prompt_release(&p->prompt);
    free(p);
}

static void job_free(struct job *job, size_t n_sides)
{
    for (size_t i = 0; i < n_sides; i++)
        completion_release(&job->response.sides[i].completion);
    prompt_unref(job->prompt);
    free(job);
}

static int take_token(void *arg, const struct generated_token *token, struct err *err)
{
    const struct ticket *ticket = arg;
    struct job *job = ticket->job;
    struct responder *r = job->owner;
    int status = completion_add(&job->response.sides[ticket->side].completion, token->id,
                                token->logprob, token->top, err);
    r->tokens++;
    if (status < 0 || !r->options->grown)
        return status;
    int grown = r->options->grown(r->options->arg, &job->response, err);
    return grown < 0 ? -1 : status || grown;
}

static int take_end(void *arg, enum finish finish, struct err *err)
{
    const struct ticket *ticket = arg;
    struct response_side *side = &ticket->job->response.sides[ticket->side];
    side->finish = finish;
    side->done = true;
    return completion_end(&side->completion, err);
}

/* ---- prompts in ---- */

/* Whether a generator has nothing to fill a slot with, while none is far behind the others. */
static bool has_room(const struct responder *r)
{
    size_t slots = r->options->generate.slots, least = SIZE_MAX, most = 0;
    for (size_t i = 0; i < r->options->n_sides; i++) {
        size_t load = generator_waiting(r->generators[i]) + generator_running(r->generators[i]);
        least = load < least ? load : least;
        most = load > most ? load : most;
    }
    return least < slots && most < 4 * slots;
}

/* 1, 0 when there are no more. */
static int next_prompt(struct responder *r, struct err *err)
{
    struct shared_prompt *p = xcalloc(1, sizeof *p);
    prompt_init(&p->prompt);
    int status = r->options->next(r->options->arg, &p->prompt, err);
    p->users = 1;
    if (status <= 0) {
        prompt_unref(p);
        r->ended = true;
        return status;
    }
    r->current = p;
    r->next_sample = 0;
    r->n_prompts++;
    return 1;
}

static int submit(struct responder *r, struct err *err)
{
    const struct respond_options *o = r->options;
    const struct prompt *prompt = &r->current->prompt;
    struct job *job = xcalloc(1, sizeof *job);
    uint64_t stream = (r->n_prompts - 1) << SAMPLE_BITS | r->next_sample;
    job->owner = r;
    job->prompt = r->current;
    job->prompt->users++;
    job->response.prompt = prompt;
    job->response.sample = r->next_sample++;
    ARRAY_GROW(r->jobs, r->n, r->cap);
    r->jobs[r->n++] = job;
    for (size_t i = 0; i < o->n_sides; i++) {
        struct generate_receiver receiver = {take_token, take_end, &job->tickets[i]};
        job->tickets[i] = (struct ticket){job, i};
        completion_init(&job->response.sides[i].completion, &o->text, prompt->ids, prompt->n);
        if (generator_submit(r->generators[i], prompt->ids, prompt->n, stream, &receiver, err))
            return prompt->place ? err_prefix(err, "%s", prompt->place) : -1;
    }
    if (r->next_sample == o->samples) {
        prompt_unref(r->current);
        r->current = NULL;
    }
    return 0;
}

static int fill(struct responder *r, struct err *err)
{
    while (has_room(r)) {
        int status = r->current ? 1 : r->ended ? 0 : next_prompt(r, err);
        if (status <= 0)
            return status;
        if (submit(r, err))
            return -1;
    }
    return 0;
}

/* ---- responses out ---- */

static bool is_complete(const struct responder *r, const struct job *job)
{
    for (size_t i = 0; i < r->options->n_sides; i++)
        if (!job->response.sides[i].done)
            return false;
    return true;
}

static int put_complete(struct responder *r, struct err *err)
{
    while (r->first < r->n && is_complete(r, r->jobs[r->first])) {
        struct job *job = r->jobs[r->first++];
        int status = r->options->put(r->options->arg, &job->response, err);
        job_free(job, r->options->n_sides);
        if (status)
            return -1;
    }
    if (2 * r->first > r->n) {
        memmove(r->jobs, r->jobs + r->first, (r->n - r->first) * sizeof(struct job *));
        r->n -= r->first;
        r->first = 0;
    }
    return 0;
}

static int run(struct responder *r, struct err *err)
{
    for (;;) {
        if (fill(r, err))
            return -1;
        if (r->first == r->n)
            return 0;
        for (size_t i = 0; i < r->options->n_sides; i++)
            if (generator_step(r->generators[i], err))
                return -1;
        if (put_complete(r, err))
            return -1;
        if (r->options->step && r->options->step(r->options->arg, r->tokens, err))
            return -1;
    }
}

int respond(const struct respond_options *options, struct err *err)
{
    struct responder r = {.options = options};
    for (size_t i = 0; i < options->n_sides; i++)
        r.generators[i] = generator_new(options->decoder, options->sides[i], &options->generate);
    int status = run(&r, err);
    for (size_t i = 0; i < options->n_sides; i++)
        generator_free(r.generators[i]);
    for (; r.first < r.n; r.first++)
        job_free(r.jobs[r.first], options->n_sides);
    free(r.jobs);
    prompt_unref(r.current);
    return status;
}
