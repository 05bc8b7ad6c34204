/*
 * loss: what a model learns from completions that are better or worse, as functions of their
 * log-likelihoods. Arithmetic only; how the likelihoods come about is preference.h's.
 *
 * L is the sum of log p over the n tokens of a completion, l = L / n its mean, Lref the sum under
 * the reference model; c is the chosen completion, r the rejected one of the same prompt; s(x) =
 * 1 / (1 + exp(-x)), e the label smoothing. The reward of a completion is what TRL logs as such.
 *
 * dpo    -(1-e) log s(m) - e log s(-m), m = beta ((L(c) - Lref(c)) - (L(r) - Lref(r)))
 *        (Rafailov et al. 2023, arXiv:2305.18290, eq. 7; with e > 0 the conservative DPO of
 *        Mitchell 2023); reward beta (L - Lref)
 * ipo    (d - 1 / (2 beta))^2, d = (l(c) - lref(c)) - (l(r) - lref(r)) (Azar et al. 2023,
 *        arXiv:2310.12036, eq. 17, with means over tokens as its authors and TRL compute it);
 *        reward beta (L - Lref)
 * orpo   -l(c) - beta log s(log odds(c) - log odds(r)), log odds = l - log(1 - exp(l)) (Hong et al.
 *        2024, arXiv:2403.07691, eqs. 6 and 7; beta is its lambda); reward beta l
 * simpo  -(1-e) log s(m) - e log s(-m), m = beta (l(c) - l(r)) - gamma (Meng et al. 2024,
 *        arXiv:2405.14734, eq. 6); reward beta l
 * kto    w (1 - s(v)), v = beta ((L - Lref) - KL) and w = desirable for a desirable completion, v =
 *        beta (KL - (L - Lref)) and w = undesirable for another (Ethayarajh et al. 2024,
 *        arXiv:2402.01306, eq. 8); reward beta (L - Lref)
 */
#ifndef MODEL_LOSS_H
#define MODEL_LOSS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* LOSS_SFT is -log p of each target: nothing of this file. */
enum loss_kind { LOSS_SFT, LOSS_DPO, LOSS_IPO, LOSS_ORPO, LOSS_SIMPO, LOSS_KTO };
extern const char *const loss_choices[]; /* their names, for OPT_CHOICE */

struct loss {
    enum loss_kind kind;
    double beta, gamma, label_smoothing;
    double desirable, undesirable; /* weights of KTO's completions */
};

bool loss_is_of_pairs(enum loss_kind kind);     /* a chosen and a rejected completion */
bool loss_has_reference(enum loss_kind kind);   /* Lref is used */
bool loss_can_be_smoothed(enum loss_kind kind); /* by label_smoothing; LOSS_SFT too */
double loss_usual_beta(enum loss_kind kind);    /* NaN: has none */

struct completion_score {
    double logp, reference; /* L, Lref */
    size_t tokens;          /* n > 0 */
};

struct pair_loss {
    double loss;
    double d_chosen, d_rejected; /* derivatives by L(c) and L(r) */
    double chosen, rejected;     /* rewards */
};
void loss_of_pair(const struct loss *l, const struct completion_score *chosen,
                  const struct completion_score *rejected, struct pair_loss *out);

struct label_loss {
    double loss, d_logp; /* the derivative by L */
    double reward;
    bool right; /* v > 0 */
};
/* kl >= 0 in nats, a constant to the gradient. */
void loss_of_label(const struct loss *l, const struct completion_score *s, bool desirable,
                   double kl, struct label_loss *out);

#endif
