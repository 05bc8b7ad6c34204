/* prose: blocks, lists, tables, asides and notes; Markdown's headings; sections; names of
 * documents. */
#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "text/document_id.h"
#include "text/encoding.h"
#include "text/markdown.h"
#include "text/prose.h"
#include "text/sections.h"

/*
 * Runs a little language: `#3` a heading, `P` a paragraph, `*2` an item at depth 2, `)2` one with a
 * number, `.1` back to depth 1, `T R C c t` table, row, cell and their ends, `A a` an aside, `N n`
 * a note, `F f` a listing, `/` a line break, `S` a span of two columns, `D` of two rows; text
 * stands in brackets.
 */
static void run(struct prose *w, const char *program)
{
    for (const char *p = program; *p; p++) {
        char digit = p[1];
        switch (*p) {
        case '#':
            prose_heading(w, digit - '0');
            break;
        case 'P':
            prose_end(w);
            break;
        case '*':
            prose_item(w, digit - '0', "-");
            break;
        case ')':
            prose_item(w, digit - '0', "7.");
            break;
        case '.':
            prose_indent(w, digit - '0');
            break;
        case 'T':
            prose_table(w);
            break;
        case 'R':
            prose_row(w);
            break;
        case 'C':
            prose_cell(w);
            break;
        case 'S':
            prose_span(w, 2, 1);
            break;
        case 'D':
            prose_span(w, 1, 2);
            break;
        case 'c':
            prose_cell_end(w);
            break;
        case 't':
            prose_table_end(w);
            break;
        case 'A':
            prose_aside(w);
            break;
        case 'a':
            prose_aside_end(w);
            break;
        case 'N':
            prose_note(w, "1");
            break;
        case 'n':
            prose_note_end(w);
            break;
        case 'F':
            prose_preformatted(w, true);
            break;
        case 'f':
            prose_preformatted(w, false);
            break;
        case '/':
            prose_break(w);
            break;
        case '[': {
            const char *end = strchr(p, ']');
            prose_add(w, p + 1, (size_t)(end - p) - 1);
            p = end;
            break;
        }
        default:
            break;
        }
    }
}

/* What must hold of every text. */
static bool is_sound(const struct prose_text *t)
{
    size_t at = 0;
    if (t->text.len && t->text.p[t->text.len - 1] != '\n')
        return false;
    for (size_t i = 0; i < t->n_headings; i++) {
        const struct prose_heading *h = &t->headings[i];
        if (h->start < at || h->title < h->start || h->title_end < h->title ||
            h->end < h->title_end || h->end > t->text.len || h->level < 1 || h->level > 6)
            return false;
        if (t->text.p[h->start] != '#' || (h->start && t->text.p[h->start - 1] != '\n') ||
            t->text.p[h->end] != '\n')
            return false;
        at = h->end;
    }
    return true;
}

static void gives(const char *name, const char *program, const char *want)
{
    struct prose_text t;
    prose_text_init(&t);
    struct prose *w = prose_new(&t);
    run(w, program);
    prose_finish(w);
    prose_free(w);
    tap_is_str(name, t.text.p, want);
    if (!is_sound(&t))
        tap_ok(false, "%s: headings are where they should be", name);
    prose_text_release(&t);
}

static void test_blocks(void)
{
    gives("nothing", "P#1P*1P", "");
    gives("white space collapses", "[  a\n\t b ][c ]P[ d]", "a b c\n\nd\n");
    gives("a heading", "[a]#2[ B  C]/[D]P[e]", "a\n\n## B C D\n\ne\n");
    gives("a level is from 1 to 6", "#0[a]#9[b]", "# a\n\n###### b\n");
    gives("line breaks", "/[a]/[b]///[c]/P[d]", "a\nb\n\nc\n\nd\n");
    gives("invisible characters",
          "[a\xc2\xad"
          "b\xe2\x80\x8b"
          "c\xef\xbb\xbf"
          "d]",
          "abcd\n");
    gives("no-break spaces are no text of their own",
          "[\xc2\xa0]P[a\xc2\xa0"
          "b\xc2\xa0]",
          "a\xc2\xa0"
          "b\n");
    gives("a listing", "[a]F[\n  x\n   y\n\n]f[b]", "a\n\n```\n  x\n   y\n```\n\nb\n");
    gives("a listing with a fence", "F[a\n```\nb]f", "````\na\n```\nb\n````\n");
    gives("an empty listing", "F[ \n]f", "");
}

static void test_lists(void)
{
    gives("a list", "[a]*1[x]*1[y].0[b]", "a\n\n- x\n- y\n\nb\n");
    gives("nested lists", "*1[x]*2[y]*2[z]*1[w]", "- x\n  - y\n  - z\n- w\n");
    gives("indented by the marker", ")1[x]*2[y]", "7. x\n   - y\n");
    gives("an item of two paragraphs", "*1[x]P[y]/[z]*1[w]", "- x\n\n  y\n  z\n- w\n");
    gives("lists of two kinds", "*1[x])1[y]", "- x\n\n7. y\n");
    gives("an item without text", "*1*1[x].0[y]", "- x\n\ny\n");
    gives("an item of a list alone", "*1*2[x]", "  - x\n");
    gives("a heading ends an item", "*1#1[x].0[y]", "# x\n\ny\n");
    gives("a listing in an item", "*1[x]F[a\nb]f", "- x\n\n  ```\n  a\n  b\n  ```\n");
    gives("an absurd depth", "*9*9[x]", "                - x\n");
}

static void test_tables(void)
{
    gives("a table", "TRC[a]cC[b]cRC[c]cC[d]ct", "| a | b |\n| --- | --- |\n| c | d |\n");
    gives("cells on one line", "TRC[a]P[b]cC[c|d]ct", "| a b | c\\|d |\n| --- | --- |\n");
    gives("one column is no table", "TRC[a]cRC[b]P[c]ct", "a\n\nb\n\nc\n");
    gives("empty rows and columns go", "TRCcC[a]cC[b]cRCcCcCct", "| a | b |\n| --- | --- |\n");
    gives("an empty table", "TRCct[a]", "a\n");
    gives("a cell over two columns", "TRCS[a]cC[b]cRC[c]cC[d]cC[e]ct",
          "| a | | b |\n| --- | --- | --- |\n| c | d | e |\n");
    gives("a cell over two rows", "TRCD[a]cC[b]cRC[c]ct", "| a | b |\n| --- | --- |\n| | c |\n");
    gives("a heading in a cell: layout", "TRC[a]cC#2[B]P[c]ct[d]", "a\n\n## B\n\nc\n\nd\n");
    gives("a table in a cell: layout", "TRC[a]cCTRC[b]cC[c]ctct",
          "a\n\n| b | c |\n| --- | --- |\n");
    gives("a table in an item", "*1[x]TRC[a]cC[b]ct", "- x\n\n  | a | b |\n  | --- | --- |\n");
    gives("unfinished", "TRC[a]cC[b]", "| a | b |\n| --- | --- |\n");
    gives("ends without a beginning", "[a]ctan[b]", "a\n\nb\n");
    gives("a cell without a row", "TC[a]cC[b]ct", "| a | b |\n| --- | --- |\n");
    gives("a cell without a table", "[x]C[a]cR[b]", "x\n\na\n\nb\n");
}

static void test_asides(void)
{
    gives("an aside comes behind its block", "[a A]A[box]a[ b]P[c]", "a A b\n\nbox\n\nc\n");
    gives("headings in it are found", "[a]A#1[box]P[x]a[b]#2[c]", "ab\n\n# box\n\nx\n\n## c\n");
    gives("two of them", "[a]A[b]aA#1[c]a", "a\n\nb\n\n# c\n");
    gives("a note", "[a]N[note]P[more]n[, b]P[c]", "a[^1], b\n\nc\n\n[^1]: note\n\n    more\n");
    gives("a note in a table", "TRC[a]N[x]ncC[b]ct", "| a[^1] | b |\n| --- | --- |\n\n[^1]: x\n");
    gives("an empty note", "[a]Nn", "a[^1]\n");
}

/* What is small stays small: deep lists of short lines, wide tables of a cell a row. */
static void test_growth(void)
{
    struct prose_text t;
    prose_text_init(&t);
    struct prose *w = prose_new(&t);
    for (int i = 1; i <= 16; i++)
        prose_item(w, i, "1234567890123.");
    run(w, "[x]");
    for (int i = 0; i < 1000; i++)
        run(w, "/[x]");
    run(w, ".0T");
    for (int i = 0; i < 1000; i++) {
        run(w, "R");
        for (int column = 0; column < (i ? 1 : 200); column++)
            run(w, "C[x]c");
    }
    run(w, "t");
    prose_finish(w);
    prose_free(w);
    tap_ok(t.text.len < 100000, "3,200 letters become %zu bytes", t.text.len);
    prose_text_release(&t);
}

/* Random calls, in any order, leave a sound text and nothing behind. */
static void test_any_order(void)
{
    static const char *const calls[] = {
        "#1", "#3", "P", "*1", "*3", ")2", ".0", ".2", "T", "R", "C",       "S",
        "D",  "c",  "t", "A",  "a",  "N",  "n",  "F",  "f", "/", "[word ]", "[two words]"};
    struct rng rng;
    rng_init(&rng, 7, 0);
    size_t wrong = 0;
    for (int round = 0; round < 3000; round++) {
        struct prose_text t;
        prose_text_init(&t);
        struct prose *w = prose_new(&t);
        uint64_t n = rng_below(&rng, 80);
        for (uint64_t i = 0; i < n; i++)
            run(w, calls[rng_below(&rng, ARRAY_SIZE(calls))]);
        prose_finish(w);
        prose_free(w);
        wrong += !is_sound(&t) || !utf8_is_valid(t.text.p, t.text.len);
        prose_text_release(&t);
    }
    tap_is_u64("3,000 random orders of calls", wrong, 0);
}

/* Text comes in pieces of any size. */
static void test_pieces(void)
{
    static const char text[] = "  one  two\xc2\xa0three\xc2\xad \n four\xe2\x80\x8b ";
    size_t wrong = 0;
    for (size_t cut = 0; cut < sizeof text - 1; cut++) {
        if ((text[cut] & 0xc0) == 0x80)
            continue; /* callers cut between characters */
        struct prose_text t;
        prose_text_init(&t);
        struct prose *w = prose_new(&t);
        prose_add(w, text, cut);
        prose_add(w, text + cut, sizeof text - 1 - cut);
        prose_finish(w);
        prose_free(w);
        wrong += strcmp(t.text.p, "one two\xc2\xa0three four\n") != 0;
        prose_text_release(&t);
    }
    tap_is_u64("text cut anywhere", wrong, 0);
}

static void headings_are(const char *name, const char *text, const char *want)
{
    struct prose_text t;
    struct buf got = BUF_INIT;
    prose_text_init(&t);
    buf_addstr(&t.text, text);
    markdown_find_headings(&t);
    for (size_t i = 0; i < t.n_headings; i++) {
        const struct prose_heading *h = &t.headings[i];
        buf_addf(&got, "%d[%.*s]", h->level, (int)(h->title_end - h->title), t.text.p + h->title);
    }
    tap_is_str(name, got.p, want);
    buf_release(&got);
    prose_text_release(&t);
}

static void test_markdown(void)
{
    headings_are("md: hashes", "# a\n##  b c ##\n### d#\n   #### e\n    # no\n#no\n####### no\n#\n",
                 "1[a]2[b c]3[d#]4[e]1[]");
    headings_are("md: underlines",
                 "a\n===\n\nb c\n---\n\n- no\n---\n\n---\n\n> no\n---\n1. no\n---\n| no\n---\n",
                 "1[a]2[b c]");
    headings_are("md: a paragraph of two lines isn't underlined", "a\nb\n---\n", "");
    headings_are("md: fences", "```sh\n# no\n~~~\n# no\n```\n# a\n~~~\n# no\n", "1[a]");
    headings_are("md: a longer fence", "````\n```\n# no\n````\n# a\n", "1[a]");
    headings_are("md: front matter", "---\ntitle: x\n---\n# a\n", "1[a]");
    headings_are("md: no front matter", "---\n# a\n", "1[a]");
    headings_are("md: Windows lines", "# a\r\n\r\nb\r\n---\r\n", "1[a]2[b]");
    headings_are("md: nothing", "", "");
}

static void sections_are(const char *name, const char *text, bool parents, const char *want)
{
    struct prose_text t;
    struct buf got = BUF_INIT;
    struct section section = {.prompt = BUF_INIT};
    size_t at = 0;
    prose_text_init(&t);
    buf_addstr(&t.text, text);
    markdown_find_headings(&t);
    while (section_next(&t, &at, parents, &section))
        buf_addf(&got, "%s[%.*s]", section.prompt.p, (int)section.completion_len,
                 section.completion);
    tap_is_str(name, got.p, want);
    buf_release(&got);
    buf_release(&section.prompt);
    prose_text_release(&t);
}

static void test_sections(void)
{
    static const char text[] = "x\n# A\n\n a1\n\na2\n\n## B\n\n### C\nc\n## D\n\nd\n# E\n";
    sections_are("sections", text, false, "A[ a1\n\na2]C[c]D[d]");
    sections_are("sections: with parents", text, true, "A[ a1\n\na2]A > B > C[c]A > D[d]");
    sections_are("sections: levels left out", "# A\n#### B\nb\n### C\nc\n", true,
                 "A > B[b]A > C[c]");
    sections_are("sections: an empty title", "# \nx\n# A\ny\n", true, "A[y]");
}

static void id_is(const char *first, const char *member, const char *want)
{
    struct buf id = BUF_INIT;
    document_id_add(&id, first, false);
    if (member)
        document_id_add(&id, member, true);
    tap_is_str("id", id.p, want);
    buf_release(&id);
}

static void test_ids(void)
{
    id_is("docs", NULL, "docs");
    id_is("./docs//x/./y/", NULL, "docs/x/y");
    id_is("/docs", "a", "/docs/a");
    id_is(".", "a", "a");
    id_is(".", "/a", "a");
    id_is("x.zip", "./b/../c", "x.zip/b/../c");
    id_is("caf\xe9", "\xc3\xa9\xff", "caf%E9/\xc3\xa9%FF");
    struct id_set set = {0};
    struct buf id = BUF_INIT;
    size_t wrong = 0;
    for (int i = 0; i < 5000; i++) {
        buf_clear(&id);
        buf_addf(&id, "d%d", i);
        id_set_claim(&set, &id);
        wrong += strchr(id.p, '#') != NULL;
    }
    tap_is_u64("id: new ones stay", wrong, 0);
    buf_clear(&id);
    buf_addstr(&id, "d7");
    id_set_claim(&set, &id);
    tap_is_str("id: the second", id.p, "d7#2");
    buf_clear(&id);
    buf_addstr(&id, "d7");
    id_set_claim(&set, &id);
    tap_is_str("id: the third", id.p, "d7#3");
    buf_release(&id);
    id_set_release(&set);

    const char *patterns[] = {"*.md", "drafts/*"};
    struct string_list list = {patterns, 2, 2};
    tap_ok(id_matches(&list, "a.md") && id_matches(&list, "x/y/a.md"), "pattern: the name");
    tap_ok(id_matches(&list, "docs/drafts/x/y.txt") && id_matches(&list, "drafts/z"),
           "pattern: behind a slash");
    tap_ok(id_matches(&list, "/abs/drafts/x") && !id_matches(&list, "/abs/x") &&
               !id_matches(&list, ""),
           "pattern: absolute");
    tap_ok(!id_matches(&list, "docs/notdrafts/x") && !id_matches(&list, "a.mdx"),
           "pattern: else not");
    tap_ok(path_is_hidden(".a") && path_is_hidden("b/.c/d") && path_is_hidden("__MACOSX/x"),
           "hidden");
    tap_ok(!path_is_hidden("./a") && !path_is_hidden("../b") && !path_is_hidden("a.b/c"),
           "not hidden");
}

static void decodes(const char *name, const char *bytes, size_t len, const char *charset,
                    const char *want, const char *encoding)
{
    struct buf out = BUF_INIT;
    struct encoding how;
    encoding_decode(&out, bytes, len, charset, NULL, &how);
    tap_is_str(name, out.p, want);
    if (strcmp(how.name, *encoding ? encoding : "UTF-8") != 0)
        tap_ok(false, "%s: as %s, not %s", name, how.name, encoding);
    buf_release(&out);
}

static void test_encodings(void)
{
    decodes("utf-8", "\xc3\xa9", 2, NULL, "\xc3\xa9", "");
    decodes("utf-8 with a mark", "\xef\xbb\xbfx", 4, "latin1", "x", "");
    decodes("windows-1252", "\x93\xe9\x80", 3, NULL, "\xe2\x80\x9c\xc3\xa9\xe2\x82\xac",
            "WINDOWS-1252");
    decodes("declared", "\xe1", 1, "iso-8859-2", "\xc3\xa1", "iso-8859-2");
    decodes("latin1 is windows-1252", "\x80", 1, "ISO-8859-1", "\xe2\x82\xac", "WINDOWS-1252");
    decodes("wrongly declared", "\xe9", 1, "utf-8", "\xc3\xa9", "WINDOWS-1252");
    decodes("utf-16le", "\xff\xfe\x3d\xd8\x00\xde", 6, NULL, "\xf0\x9f\x98\x80", "UTF-16LE");
    decodes("utf-16be", "\xfe\xff\x00h", 4, NULL, "h", "UTF-16BE");
    decodes("utf-16, a lone surrogate and half a unit", "\xff\xfe\x3d\xd8h\0i", 7, NULL,
            "\xef\xbf\xbdh\xef\xbf\xbd", "UTF-16LE");
    decodes("utf-32", "\xff\xfe\0\0\x00\xf6\x01\0", 8, NULL, "\xf0\x9f\x98\x80", "UTF-32LE");
    decodes("shift_jis", "\x93\xfa\x96\x7b", 4, "Shift_JIS", "\xe6\x97\xa5\xe6\x9c\xac", "CP932");
    decodes("unknown", "\xe9", 1, "klingon", "\xc3\xa9", "WINDOWS-1252");
    decodes("a label with options", "\xe9", 1, "UTF-16//IGNORE", "\xc3\xa9", "WINDOWS-1252");
    tap_ok(encoding_is_binary("a\0b", 3) && !encoding_is_binary("\xff\xfe"
                                                                "a\0",
                                                                4),
           "binary: a NUL, but in UTF-16");
    tap_ok(!encoding_is_binary("\x1b[1mx\f\n", 7), "binary: an escape sequence is text");
    struct buf lines = BUF_INIT;
    buf_addstr(&lines, "a\r\nb\rc\n\r\n\r");
    encoding_unix_lines(&lines);
    tap_is_str("lines", lines.p, "a\nb\nc\n\n\n");
    buf_release(&lines);
}

int main(void)
{
    test_blocks();
    test_lists();
    test_tables();
    test_asides();
    test_growth();
    test_any_order();
    test_pieces();
    test_markdown();
    test_sections();
    test_ids();
    test_encodings();
    return tap_done();
}
