#include "model/loss.h"

#include <float.h>
#include <math.h>

const char *const loss_choices[] = {"sft", "dpo", "ipo", "orpo", "simpo", "kto", NULL};

bool loss_is_of_pairs(enum loss_kind kind)
{
    return kind != LOSS_SFT && kind != LOSS_KTO;
}

bool loss_has_reference(enum loss_kind kind)
{
    return kind == LOSS_DPO || kind == LOSS_IPO || kind == LOSS_KTO;
}

bool loss_can_be_smoothed(enum loss_kind kind)
{
    return kind == LOSS_SFT || kind == LOSS_DPO || kind == LOSS_SIMPO;
}

double loss_usual_beta(enum loss_kind kind)
{
    return kind == LOSS_SFT ? NAN : kind == LOSS_SIMPO ? 2 : 0.1;
}

/* Stable at both ends: exp never overflows. */
static double sigmoid(double x)
{
    double e = exp(-fabs(x));
    return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

static double log_sigmoid(double x)
{
    return fmin(x, 0) - log1p(exp(-fabs(x)));
}

static double mean_logp(const struct completion_score *s)
{
    return s->logp / (double)s->tokens;
}

static double mean_gain(const struct completion_score *s)
{
    return (s->logp - s->reference) / (double)s->tokens;
}

/* -(1-e) log s(m) - e log s(-m); *d = its derivative by m. */
static double logistic(double m, double e, double *d)
{
    *d = -(1 - e) * sigmoid(-m) + e * sigmoid(m);
    return -(1 - e) * log_sigmoid(m) - e * log_sigmoid(-m);
}

static void dpo(const struct loss *l, const struct completion_score *c,
                const struct completion_score *r, struct pair_loss *out)
{
    double d;
    out->chosen = l->beta * (c->logp - c->reference);
    out->rejected = l->beta * (r->logp - r->reference);
    out->loss = logistic(out->chosen - out->rejected, l->label_smoothing, &d);
    out->d_chosen = d * l->beta;
    out->d_rejected = -d * l->beta;
}

static void ipo(const struct loss *l, const struct completion_score *c,
                const struct completion_score *r, struct pair_loss *out)
{
    double above = mean_gain(c) - mean_gain(r) - 1 / (2 * l->beta);
    out->chosen = l->beta * (c->logp - c->reference);
    out->rejected = l->beta * (r->logp - r->reference);
    out->loss = above * above;
    out->d_chosen = 2 * above / (double)c->tokens;
    out->d_rejected = -2 * above / (double)r->tokens;
}

static void simpo(const struct loss *l, const struct completion_score *c,
                  const struct completion_score *r, struct pair_loss *out)
{
    double d;
    out->chosen = l->beta * mean_logp(c);
    out->rejected = l->beta * mean_logp(r);
    out->loss = logistic(out->chosen - out->rejected - l->gamma, l->label_smoothing, &d);
    out->d_chosen = d * l->beta / (double)c->tokens;
    out->d_rejected = -d * l->beta / (double)r->tokens;
}

/* log(p / (1-p)) of p = exp(l); *d = its derivative by l, 1 / (1-p). A completion that is as good
 * as certain is kept a rounding error of a float away from it: odds have no bound. */
static double log_odds(double l, double *d)
{
    double doubt = -expm1(fmin(l, -(double)FLT_EPSILON));
    *d = 1 / doubt;
    return l - log(doubt);
}

static void orpo(const struct loss *l, const struct completion_score *c,
                 const struct completion_score *r, struct pair_loss *out)
{
    double d, by_chosen, by_rejected;
    double ratio = log_odds(mean_logp(c), &by_chosen) - log_odds(mean_logp(r), &by_rejected);
    out->chosen = l->beta * mean_logp(c);
    out->rejected = l->beta * mean_logp(r);
    out->loss = -mean_logp(c) + l->beta * logistic(ratio, 0, &d);
    out->d_chosen = (-1 + l->beta * d * by_chosen) / (double)c->tokens;
    out->d_rejected = -l->beta * d * by_rejected / (double)r->tokens;
}

void loss_of_pair(const struct loss *l, const struct completion_score *chosen,
                  const struct completion_score *rejected, struct pair_loss *out)
{
    *out = (struct pair_loss){0};
    if (l->kind == LOSS_DPO)
        dpo(l, chosen, rejected, out);
    else if (l->kind == LOSS_IPO)
        ipo(l, chosen, rejected, out);
    else if (l->kind == LOSS_ORPO)
        orpo(l, chosen, rejected, out);
    else if (l->kind == LOSS_SIMPO)
        simpo(l, chosen, rejected, out);
}

void loss_of_label(const struct loss *l, const struct completion_score *s, bool desirable,
                   double kl, struct label_loss *out)
{
    const double gain = s->logp - s->reference, sign = desirable ? 1 : -1,
                 weight = desirable ? l->desirable : l->undesirable,
                 v = l->beta * sign * (gain - kl);
    out->loss = weight * sigmoid(-v);
    out->d_logp = -weight * sign * l->beta * sigmoid(v) * sigmoid(-v);
    out->reward = l->beta * gain;
    out->right = v > 0;
}
