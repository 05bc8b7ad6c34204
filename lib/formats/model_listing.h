/*
 * model_listing: model files as people and other programs read them, and whether their numbers are
 * numbers.
 */
#ifndef FORMATS_MODEL_LISTING_H
#define FORMATS_MODEL_LISTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"

/* One line for each entry: "key = value" or, as JSON, {"key","value"}. Long arrays and strings are
 * shortened, which the line says. */
void model_list_gguf_metadata(struct buf *out, const struct gguf *g, bool json);
void model_list_json_metadata(struct buf *out, const json_t *object, bool json);

/* "name  dtype  [shape]  bytes" or {"name","dtype","shape","bytes"}. */
void model_list_tensor(struct buf *out, const struct tensor *t, bool json);

/* Fails at the first NaN or infinity, which is named. */
int model_check_tensor(const struct tensor *t, struct err *err);

#endif
