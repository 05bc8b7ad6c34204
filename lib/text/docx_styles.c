#include "text/docx_styles.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "text/xml.h"

static int int_attribute(struct xml *x, const char *name, int otherwise)
{
    const char *value = xml_attribute(x, name);
    return value && *value ? (int)strtol(value, NULL, 10) : otherwise;
}

static char *string_attribute(struct xml *x, const char *name)
{
    const char *value = xml_attribute(x, name);
    return value ? xstrdup(value) : NULL;
}

static int compare_styles(const void *a, const void *b)
{
    return strcmp(((const struct docx_style *)a)->id, ((const struct docx_style *)b)->id);
}

static int read_styles(struct docx_styles *s, const struct buf *part, struct err *err)
{
    struct xml *x = xml_new(part->p, part->len, err);
    enum xml_event event = XML_FAILED;
    struct docx_style *style = NULL;
    while (x && (event = xml_next(x, err)) > XML_END) {
        if (event == XML_CLOSE && xml_is(x, "w:style"))
            style = NULL;
        if (event != XML_OPEN)
            continue;
        if (xml_is(x, "w:style")) {
            ARRAY_GROW(s->styles, s->n_styles, s->styles_cap);
            style = &s->styles[s->n_styles++];
            *style = (struct docx_style){.outline = -1, .list = -1, .level = -1};
            style->id = string_attribute(x, "styleId");
            if (!style->id)
                style->id = xstrdup("");
        } else if (!style) {
            continue;
        } else if (xml_is(x, "w:name") && !style->name) {
            style->name = string_attribute(x, "val");
        } else if (xml_is(x, "w:basedOn") && !style->based_on) {
            style->based_on = string_attribute(x, "val");
        } else if (xml_is(x, "w:outlineLvl")) {
            style->outline = int_attribute(x, "val", -1);
        } else if (xml_is(x, "w:numId")) {
            style->list = int_attribute(x, "val", -1);
        } else if (xml_is(x, "w:ilvl")) {
            style->level = int_attribute(x, "val", -1);
        }
    }
    xml_free(x);
    if (s->n_styles)
        qsort(s->styles, s->n_styles, sizeof *s->styles, compare_styles);
    return event == XML_FAILED ? err_prefix(err, "styles") : 0;
}

static char format_of(const char *name)
{
    static const struct {
        const char *name;
        char format;
    } formats[] = {
        {"bullet", '-'},      {"none", 0},         {"lowerLetter", 'a'},
        {"upperLetter", 'A'}, {"lowerRoman", 'i'}, {"upperRoman", 'I'},
    };
    for (size_t i = 0; name && i < ARRAY_SIZE(formats); i++)
        if (!strcmp(name, formats[i].name))
            return formats[i].format;
    return '1';
}

static void add_abstract(struct docx_styles *s, int id)
{
    ARRAY_GROW(s->abstracts, s->n_abstracts, s->abstracts_cap);
    struct docx_abstract_list *a = &s->abstracts[s->n_abstracts++];
    a->id = id;
    for (int i = 0; i < DOCX_LIST_LEVELS; i++)
        a->levels[i] = (struct docx_list_level){1, 0, '1', '.'};
}

static void add_list(struct docx_styles *s, int id)
{
    ARRAY_GROW(s->lists, s->n_lists, s->lists_cap);
    struct docx_list *l = &s->lists[s->n_lists++];
    *l = (struct docx_list){.id = id, .abstract = -1};
    for (int i = 0; i < DOCX_LIST_LEVELS; i++)
        l->restart[i] = -1;
}

static void read_level(struct docx_list_level *level, struct xml *x)
{
    if (xml_is(x, "w:start")) {
        level->start = int_attribute(x, "val", 1);
        level->counter = level->start - 1;
    } else if (xml_is(x, "w:numFmt")) {
        level->format = format_of(xml_attribute(x, "val"));
    } else if (xml_is(x, "w:lvlText")) {
        const char *text = xml_attribute(x, "val");
        size_t len = text ? strlen(text) : 0;
        level->tail = len && text[len - 1] == ')' ? ')' : '.';
        if (strspn(text ? text : "", " ") == len)
            level->format = 0; /* what goes on with an item is often in a list without a marker */
    }
}

static int read_numbering(struct docx_styles *s, const struct buf *part, struct err *err)
{
    struct xml *x = xml_new(part->p, part->len, err);
    enum xml_event event = XML_FAILED;
    enum { NOWHERE, ABSTRACT, LIST } in = NOWHERE;
    int level = -1;
    while (x && (event = xml_next(x, err)) > XML_END) {
        if (event == XML_CLOSE && (xml_is(x, "w:abstractNum") || xml_is(x, "w:num")))
            in = NOWHERE;
        if (event != XML_OPEN)
            continue;
        bool has_level = level >= 0 && level < DOCX_LIST_LEVELS;
        if (xml_is(x, "w:abstractNum")) {
            in = ABSTRACT;
            level = -1;
            add_abstract(s, int_attribute(x, "abstractNumId", -1));
        } else if (xml_is(x, "w:num")) {
            in = LIST;
            level = -1;
            add_list(s, int_attribute(x, "numId", -1));
        } else if (xml_is(x, "w:lvl") || xml_is(x, "w:lvlOverride")) {
            level = int_attribute(x, "ilvl", -1);
        } else if (in == ABSTRACT && has_level) {
            read_level(&s->abstracts[s->n_abstracts - 1].levels[level], x);
        } else if (in == LIST && xml_is(x, "w:abstractNumId")) {
            s->lists[s->n_lists - 1].abstract = int_attribute(x, "val", -1);
        } else if (in == LIST && has_level && xml_is(x, "w:startOverride")) {
            s->lists[s->n_lists - 1].restart[level] = int_attribute(x, "val", 1);
        }
    }
    xml_free(x);
    return event == XML_FAILED ? err_prefix(err, "numbering") : 0;
}

int docx_styles_read(struct docx_styles *s, const struct buf *styles, const struct buf *numbering,
                     struct err *err)
{
    *s = (struct docx_styles){0};
    if ((styles && read_styles(s, styles, err)) ||
        (numbering && read_numbering(s, numbering, err))) {
        docx_styles_release(s);
        return -1;
    }
    return 0;
}

void docx_styles_release(struct docx_styles *s)
{
    for (size_t i = 0; i < s->n_styles; i++) {
        free(s->styles[i].id);
        free(s->styles[i].name);
        free(s->styles[i].based_on);
    }
    free(s->styles);
    free(s->abstracts);
    free(s->lists);
    *s = (struct docx_styles){0};
}

static const struct docx_style *find_style(const struct docx_styles *s, const char *id)
{
    struct docx_style key = {.id = (char *)(uintptr_t)id};
    return id && s->n_styles ? bsearch(&key, s->styles, s->n_styles, sizeof key, compare_styles)
                             : NULL;
}

/* Built-in names are English in every language's Word; without styles.xml the id has to do. */
static void resolve_by_name(const char *name, bool headings, struct docx_paragraph *p)
{
    headings = headings && !p->heading;
    if (!strncasecmp(name, "heading", 7)) {
        const char *digit = name + 7 + (name[7] == ' ');
        if (*digit >= '1' && *digit <= '9' && !digit[1] && headings)
            p->heading = *digit - '0';
    } else if (!strcasecmp(name, "title") && headings) {
        p->heading = 1;
    } else if (!strcasecmp(name, "source code") || !strcasecmp(name, "html preformatted")) {
        p->is_code = true;
    } else if (!strncasecmp(name, "toc", 3) &&
               ((name[3 + (name[3] == ' ')] >= '1' && name[3 + (name[3] == ' ')] <= '9') ||
                !strcasecmp(name + 3 + (name[3] == ' '), "heading"))) {
        p->is_index = true;
    }
}

/* "List Bullet 2" is a list of its own that stands where a second level would. */
static int level_by_name(const char *name)
{
    static const char *const lists[] = {"list bullet ", "list number ", "list continue "};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        const char *digit = name + strlen(lists[i]);
        if (!strncasecmp(name, lists[i], strlen(lists[i])) && *digit >= '2' && *digit <= '5' &&
            !digit[1])
            return *digit - '1';
    }
    return 0;
}

void docx_style_resolve(const struct docx_styles *s, const char *id, struct docx_paragraph *p)
{
    int outline = -1, list = -1, level = -1, named_level = 0;
    *p = (struct docx_paragraph){0};
    if (id && !find_style(s, id))
        resolve_by_name(id, true, p);
    for (int depth = 0; id && depth < 20; depth++) { /* basedOn may go in a circle */
        const struct docx_style *style = find_style(s, id);
        if (!style)
            break;
        outline = outline < 0 ? style->outline : outline;
        list = list < 0 ? style->list : list;
        level = level < 0 ? style->level : level;
        if (style->name)
            resolve_by_name(style->name, outline < 0, p);
        if (style->name && depth == 0)
            named_level = level_by_name(style->name);
        id = style->based_on;
    }
    if (outline >= 0)
        p->heading = outline < 9 ? outline + 1 : 0;
    p->list = list < 0 ? 0 : list;
    p->level = level < 0 ? 0 : level;
    p->offset = named_level;
}

static void write_roman(int n, bool upper, char *out, size_t size)
{
    static const struct {
        int value;
        const char *lower, *upper;
    } digits[] = {
        {1000, "m", "M"}, {900, "cm", "CM"}, {500, "d", "D"},  {400, "cd", "CD"}, {100, "c", "C"},
        {90, "xc", "XC"}, {50, "l", "L"},    {40, "xl", "XL"}, {10, "x", "X"},    {9, "ix", "IX"},
        {5, "v", "V"},    {4, "iv", "IV"},   {1, "i", "I"},
    };
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_SIZE(digits); i++)
        for (; n >= digits[i].value && len + 3 < size; n -= digits[i].value)
            len += (size_t)snprintf(out + len, size - len, "%s",
                                    upper ? digits[i].upper : digits[i].lower);
}

static void write_number(const struct docx_list_level *level, char marker[16])
{
    int n = level->counter;
    char number[12] = "";
    if ((level->format == 'i' || level->format == 'I') && n > 0 && n < 40)
        write_roman(n, level->format == 'I', number, sizeof number);
    else if ((level->format == 'a' || level->format == 'A') && n > 0 && n <= 26)
        snprintf(number, sizeof number, "%c", level->format + n - 1);
    else
        snprintf(number, sizeof number, "%d", n);
    snprintf(marker, 16, "%s%c", number, level->tail);
}

static struct docx_abstract_list *find_abstract(struct docx_styles *s, int id)
{
    for (size_t i = 0; i < s->n_abstracts; i++)
        if (s->abstracts[i].id == id)
            return &s->abstracts[i];
    return NULL;
}

static struct docx_list *find_list(struct docx_styles *s, int id)
{
    for (size_t i = 0; i < s->n_lists; i++)
        if (s->lists[i].id == id)
            return &s->lists[i];
    return NULL;
}

void docx_list_marker(struct docx_styles *s, int list_id, int level, char marker[16])
{
    struct docx_list *list = find_list(s, list_id);
    struct docx_abstract_list *a = list ? find_abstract(s, list->abstract) : NULL;
    snprintf(marker, 16, "-");
    if (!a)
        return;
    level = level < 0 ? 0 : level >= DOCX_LIST_LEVELS ? DOCX_LIST_LEVELS - 1 : level;
    if (!list->used)
        for (int i = 0; i < DOCX_LIST_LEVELS; i++)
            if (list->restart[i] >= 0)
                a->levels[i].counter = list->restart[i] - 1;
    list->used = true;
    if (a->levels[level].counter < 1000000000)
        a->levels[level].counter++;
    for (int i = level + 1; i < DOCX_LIST_LEVELS; i++)
        a->levels[i].counter = a->levels[i].start - 1;
    if (a->levels[level].format == 0)
        *marker = 0;
    else if (a->levels[level].format != '-')
        write_number(&a->levels[level], marker);
}
