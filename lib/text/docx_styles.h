/*
 * docx_styles: what the paragraph styles and the numbering of a .docx say about a paragraph
 * (ECMA-376 part 1, sections 17.7 and 17.9).
 */
#ifndef TEXT_DOCX_STYLES_H
#define TEXT_DOCX_STYLES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct docx_style {
    char *id, *name, *based_on;
    int outline;     /* 0 to 8: a heading; 9: body text; -1: not said */
    int list, level; /* numId and ilvl; -1: not said */
};

struct docx_list_level {
    int start, counter; /* counter: the number given last */
    char format;        /* '1' 'a' 'A' 'i' 'I', '-' a bullet, 0 nothing */
    char tail;          /* '.' or ')' */
};

enum { DOCX_LIST_LEVELS = 9 };

struct docx_abstract_list {
    int id;
    struct docx_list_level levels[DOCX_LIST_LEVELS];
};

struct docx_list {
    int id, abstract;
    int restart[DOCX_LIST_LEVELS]; /* startOverride; -1: none */
    bool used;
};

struct docx_styles {
    struct docx_style *styles; /* sorted by id */
    size_t n_styles, styles_cap;
    struct docx_abstract_list *abstracts;
    size_t n_abstracts, abstracts_cap;
    struct docx_list *lists;
    size_t n_lists, lists_cap;
};

/* From the parts styles.xml and numbering.xml; either may be NULL. */
int docx_styles_read(struct docx_styles *s, const struct buf *styles, const struct buf *numbering,
                     struct err *err);
void docx_styles_release(struct docx_styles *s);

struct docx_paragraph {
    int heading;     /* level from 1; 0: none */
    bool is_code;    /* a line of a listing */
    bool is_index;   /* a line of the table of contents */
    int list, level; /* list 0: none */
    int offset;      /* how much deeper its list looks than level says, by the style's name */
};

/* What the style gives; id NULL is the default style. */
void docx_style_resolve(const struct docx_styles *s, const char *id, struct docx_paragraph *p);

/* Counts and writes the marker of the next item ("-", "3.", "b)"), "" for a list without any. */
void docx_list_marker(struct docx_styles *s, int list, int level, char marker[16]);

#endif
