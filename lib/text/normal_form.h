/*
 * normal_form: Unicode's normalisation forms (Unicode Standard Annex 15), each character of the
 * result with the place that it came from.
 */
#ifndef TEXT_NORMAL_FORM_H
#define TEXT_NORMAL_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/text.h"
#include "text/unicode.h"

enum normal_form { NFC, NFD, NFKC, NFKD, N_FORMS };

/* What is known of characters in the forms in use. */
struct normal_forms {
    struct unicode stable; /* per form two bits: INERT and BOUNDARY */
};

/* forms: a bit for each form that will be asked for. */
void normal_forms_init(struct normal_forms *n, unsigned forms);
void normal_forms_release(struct normal_forms *n);

/* A character on its way to a normal form. */
struct part {
    uint32_t c, origin;
    int combining_class;
    uint32_t order;
};

/* Work memory of one thread, zeros to begin with. */
struct form_scratch {
    struct part *parts;
    size_t n_parts, cap;
};

void form_scratch_release(struct form_scratch *s);

/* Appends the form of `in` to out; false, and nothing, where that is `in` itself. */
bool normal_form(const struct normal_forms *n, struct form_scratch *s, enum normal_form form,
                 const struct text *in, struct text_builder *out);

#endif
