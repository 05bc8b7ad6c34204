/*
 * package: the zip that an office document is: its kind and its XML parts.
 */
#ifndef TEXT_PACKAGE_H
#define TEXT_PACKAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum package_kind {
    PACKAGE_NONE, /* a zip like any other */
    PACKAGE_DOCX,
    PACKAGE_PPTX,
    PACKAGE_XLSX,
    PACKAGE_ODT,
    PACKAGE_ODP,
    PACKAGE_ODS,
    PACKAGE_EPUB,
    PACKAGE_XLSB,  /* a workbook in binary parts */
    PACKAGE_OTHER, /* another document of these families: a drawing, a formula */
};

/* By [Content_Types].xml or mimetype, read from p[len]. -1 if the zip can't be read at all. */
int package_kind_of(const void *p, size_t len, enum package_kind *kind, struct err *err);

struct package_part {
    char *name;
    struct buf data;
};

struct package {
    struct package_part *parts;
    size_t n_parts, cap;
};

/* Reads the parts that a document of that kind has text or structure in, together at most `limit`
 * bytes. */
int package_read(struct package *package, enum package_kind kind, const void *p, size_t len,
                 size_t limit, struct err *err);
void package_release(struct package *package);
size_t package_size(const struct package *package); /* bytes of all parts */
const struct buf *package_part(const struct package *package, const char *name); /* NULL: none */

/* The name of the part that `target`, a relative address in another part, is about: ".." never
 * leaves the package. The caller frees it. */
char *package_resolve(const char *part, const char *target);
/* Sets used[i], one flag for each part: true the first time, or if there is no such part. A list
 * that names a part a million times gives it once. */
bool package_use(const struct package *package, bool *used, const char *name);

/* A relationship of a part (ECMA-376 part 2, section 6.5): its target as the name of a part. */
struct relationship {
    char *id, *type, *target;
};
struct relationships {
    struct relationship *items;
    size_t n, cap;
};
/* Of the part; "" is the package itself. A part without any has an empty list. */
int relationships_read(struct relationships *r, const struct package *package, const char *part,
                       struct err *err);
void relationships_release(struct relationships *r);
/* The first whose type ends in the given word, or with that id; NULL: none. */
const char *relationships_by_type(const struct relationships *r, const char *type);
const char *relationships_by_id(const struct relationships *r, const char *id);

#endif
