/*
 * lint_privacy: what looks like personal data, keys and passwords, and markers of chat templates.
 *
 * By shape alone, with a check digit where there is one: of data that look like others' it finds
 * some that are invented, and of names and addresses nothing.
 */
#ifndef TEXT_LINT_PRIVACY_H
#define TEXT_LINT_PRIVACY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "text/lint_finding.h"
#include "text/regex.h"

struct lint_privacy; /* immutable: any number of threads may use one, each with its own scratch */

int lint_privacy_new(struct lint_privacy **p, struct err *err);
void lint_privacy_free(struct lint_privacy *p);

/* p[len] is valid UTF-8. One finding for each thing there is, that shows the first masked. */
void lint_private(const struct lint_privacy *privacy, struct regex_scratch *scratch,
                  struct lint_findings *f, const char *where, const char *p, size_t len);

/* Whether the digits in p[len] are a card number by Luhn's check (ISO/IEC 7812-1) and its issuer's
 * prefix and length; an account number by ISO 13616 (IBAN, letters in upper case). */
bool is_card_number(const char *p, size_t len);
bool is_iban(const char *p, size_t len);

#endif
