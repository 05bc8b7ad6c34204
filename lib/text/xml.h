/*
 * xml: the elements and text of an XML file in order, through libxml2's reader.
 *
 * Names are "prefix:local" with a prefix of our own for each known namespace, whatever prefix the
 * file uses; elements of other namespaces have the prefix "?". Nothing is fetched, entities aren't
 * replaced, and a document type declaration, which no office format has, is an error.
 */
#ifndef TEXT_XML_H
#define TEXT_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum xml_event { XML_FAILED = -1, XML_END, XML_OPEN, XML_CLOSE, XML_TEXT };

struct xml;

struct xml *xml_new(const char *p, size_t len, struct err *err); /* views p; NULL on failure */
void xml_free(struct xml *x);                                    /* NULL is allowed */

/* An empty element gives XML_OPEN and XML_CLOSE like any other. */
enum xml_event xml_next(struct xml *x, struct err *err);
const char *xml_name(const struct xml *x); /* of the element opened or closed */
bool xml_is(const struct xml *x, const char *name);
const char *xml_text(const struct xml *x, size_t *len);
/* Of the element just opened: the value of the first attribute with that local name, else NULL. It
 * lives until the next call. */
const char *xml_attribute(struct xml *x, const char *local);
/* The same, where the attribute's namespace has `mark` in its name: r:id beside id. */
const char *xml_attribute_in(struct xml *x, const char *mark, const char *local);
/* Goes behind the end of the element just opened: 0 or -1. */
int xml_skip(struct xml *x, struct err *err);

#endif
