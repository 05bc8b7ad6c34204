/*
 * template_pprint: a value as Python's pprint.pformat writes it: on a line if it fits 80 columns,
 * else an item a line, with long strings in pieces; the keys of mappings sorted.
 */
#ifndef TEXT_TEMPLATE_PPRINT_H
#define TEXT_TEMPLATE_PPRINT_H

#include "text/template_internal.h"

const struct str *template_pprint(struct render *r, struct value v);

#endif
