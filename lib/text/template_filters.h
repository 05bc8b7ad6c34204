/* The filters' parts: single values (template_filter.c), sequences (template_filter_list.c), the
 * layout of text (template_filter_text.c). */
#ifndef TEXT_TEMPLATE_FILTERS_H
#define TEXT_TEMPLATE_FILTERS_H

#include "text/template_internal.h"

const struct builtin *list_filter_find(const struct str *name);
const struct builtin *text_filter_find(const struct str *name);

#endif
