/* extract: what each format's features become, and that damage is an error. */
#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "text/encoding.h"
#include "text/extract.h"
#include "text/pdf_text.h"

#define W                                                                                          \
    "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\" "                    \
    "xmlns:mc=\"http://schemas.openxmlformats.org/markup-compatibility/2006\" "                    \
    "xmlns:m=\"http://schemas.openxmlformats.org/officeDocument/2006/math\""
#define RELATIONSHIPS                                                                              \
    "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
#define TYPE "Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/"

static void add_part(struct package *p, const char *name, const char *text)
{
    ARRAY_GROW(p->parts, p->n_parts, p->cap);
    struct package_part *part = &p->parts[p->n_parts++];
    part->name = xstrdup(name);
    buf_init(&part->data);
    buf_addstr(&part->data, text);
}

static const char styles[] =
    "<w:styles " W ">"
    "<w:style w:styleId=\"berschrift1\"><w:name w:val=\"heading 1\"/></w:style>"
    "<w:style w:styleId=\"Own\"><w:name w:val=\"House heading\"/><w:basedOn "
    "w:val=\"Own2\"/></w:style>"
    "<w:style w:styleId=\"Own2\"><w:name w:val=\"x\"/><w:basedOn "
    "w:val=\"Own\"/><w:pPr><w:outlineLvl w:val=\"2\"/></w:pPr></w:style>"
    "<w:style w:styleId=\"T\"><w:name w:val=\"Title\"/></w:style>"
    "<w:style w:styleId=\"Verzeichnis1\"><w:name w:val=\"toc 1\"/></w:style>"
    "<w:style w:styleId=\"Circle\"><w:name w:val=\"c\"/><w:basedOn w:val=\"Circle\"/></w:style>"
    "<w:style w:styleId=\"Code\"><w:name w:val=\"Source Code\"/></w:style>"
    "<w:style w:styleId=\"LB\"><w:name w:val=\"List Bullet\"/><w:pPr><w:numPr><w:numId "
    "w:val=\"1\"/></w:numPr></w:pPr></w:style>"
    "<w:style w:styleId=\"LB2\"><w:name w:val=\"List Bullet 2\"/><w:pPr><w:numPr><w:numId "
    "w:val=\"1\"/></w:numPr></w:pPr></w:style>"
    "</w:styles>";

static const char numbering[] =
    "<w:numbering " W ">"
    "<w:abstractNum w:abstractNumId=\"0\"><w:lvl w:ilvl=\"0\"><w:numFmt "
    "w:val=\"bullet\"/><w:lvlText w:val=\"\xe2\x80\xa2\"/></w:lvl></w:abstractNum>"
    "<w:abstractNum w:abstractNumId=\"1\"><w:lvl w:ilvl=\"0\"><w:start w:val=\"3\"/><w:numFmt "
    "w:val=\"decimal\"/><w:lvlText w:val=\"%1)\"/></w:lvl>"
    "<w:lvl w:ilvl=\"1\"><w:numFmt w:val=\"lowerRoman\"/><w:lvlText w:val=\"%2.\"/></w:lvl>"
    "<w:lvl w:ilvl=\"2\"><w:numFmt w:val=\"bullet\"/><w:lvlText w:val=\" "
    "\"/></w:lvl></w:abstractNum>"
    "<w:num w:numId=\"1\"><w:abstractNumId w:val=\"0\"/></w:num>"
    "<w:num w:numId=\"2\"><w:abstractNumId w:val=\"1\"/></w:num>"
    "<w:num w:numId=\"3\"><w:abstractNumId w:val=\"1\"/><w:lvlOverride "
    "w:ilvl=\"0\"><w:startOverride w:val=\"1\"/></w:lvlOverride></w:num>"
    "</w:numbering>";

static const char footnotes[] =
    "<w:footnotes " W "><w:footnote w:id=\"-1\"><w:p/></w:footnote>"
    "<w:footnote w:id=\"2\"><w:p><w:r><w:footnoteRef/></w:r><w:r><w:t>the "
    "note</w:t></w:r></w:p></w:footnote></w:footnotes>";

static void make_docx(struct package *p, const char *body)
{
    struct buf document = BUF_INIT;
    *p = (struct package){0};
    add_part(p, "_rels/.rels",
             RELATIONSHIPS "<Relationship Id=\"a\" " TYPE
                           "officeDocument\" Target=\"/word/main.xml\"/></Relationships>");
    add_part(p, "word/_rels/main.xml.rels",
             RELATIONSHIPS "<Relationship Id=\"a\" " TYPE "styles\" Target=\"styles.xml\"/>"
                           "<Relationship Id=\"b\" " TYPE
                           "numbering\" Target=\"./x/../numbering.xml\"/>"
                           "<Relationship Id=\"c\" " TYPE "footnotes\" Target=\"footnotes.xml\"/>"
                           "<Relationship Id=\"d\" " TYPE
                           "endnotes\" Target=\"http://x/\" TargetMode=\"External\"/>"
                           "</Relationships>");
    buf_addf(&document, "<w:document " W "><w:body>%s</w:body></w:document>", body);
    add_part(p, "word/main.xml", document.p);
    add_part(p, "word/styles.xml", styles);
    add_part(p, "word/numbering.xml", numbering);
    add_part(p, "word/footnotes.xml", footnotes);
    buf_release(&document);
}

static void docx(const char *name, const char *body, const char *want)
{
    struct package p;
    struct prose_text t;
    struct err err = {.msg = ""};
    prose_text_init(&t);
    make_docx(&p, body);
    int status = extract_docx(&t, &p, &err);
    tap_is_str(name, status ? err.msg : t.text.p, want);
    package_release(&p);
    prose_text_release(&t);
}

#define P(text) "<w:p><w:r><w:t>" text "</w:t></w:r></w:p>"
#define STYLED(style, text)                                                                        \
    "<w:p><w:pPr><w:pStyle w:val=\"" style "\"/></w:pPr><w:r><w:t>" text "</w:t></w:r></w:p>"
#define ITEM(list, level, text)                                                                    \
    "<w:p><w:pPr><w:numPr><w:ilvl w:val=\"" level "\"/><w:numId w:val=\"" list                     \
    "\"/></w:numPr></w:pPr><w:r><w:t>" text "</w:t></w:r></w:p>"

static void test_docx(void)
{
    docx("docx: paragraphs", P("a &amp; b") P("") "<w:p/>" P("c"), "a & b\n\nc\n");
    docx("docx: runs, tabs, breaks",
         "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r><w:r><w:br/><w:t "
         "xml:space=\"preserve\">c </w:t></w:r>"
         "<w:r><w:br w:type=\"page\"/><w:noBreakHyphen/><w:sym w:char=\"F0A7\"/><w:sym "
         "w:char=\"03B1\"/></w:r></w:p>",
         "a b\nc \xe2\x80\x91\xce\xb1\n");
    docx("docx: headings by name, chain, level, id",
         STYLED("berschrift1", "a") STYLED("Own", "b") STYLED("T", "c") STYLED("Circle", "d")
             STYLED(
                 "Heading4",
                 "e") "<w:p><w:pPr><w:outlineLvl w:val=\"1\"/></w:pPr><w:r><w:t>f</w:t></w:r></w:p>"
                      "<w:p><w:pPr><w:pStyle w:val=\"Own2\"/><w:outlineLvl "
                      "w:val=\"9\"/></w:pPr><w:r><w:t>g</w:t></w:r></w:p>",
         "# a\n\n### b\n\n# c\n\nd\n\n#### e\n\n## f\n\ng\n");
    docx("docx: the table of contents is left out", STYLED("Verzeichnis1", "a 1") P("b"), "b\n");
    docx("docx: lists", STYLED("LB", "a") STYLED("LB2", "b") STYLED("LB", "c"),
         "- a\n  - b\n- c\n");
    docx("docx: numbered lists",
         ITEM("2", "0", "a") ITEM("2", "1", "b") ITEM("2", "1", "c") ITEM("2", "2", "d")
             ITEM("2", "0", "e") P("f") ITEM("3", "0", "g") ITEM("2", "0", "h") ITEM("9", "0", "i"),
         "3) a\n   i. b\n   ii. c\n\n         d\n4) e\n\nf\n\n1) g\n2) h\n\n- i\n");
    docx("docx: numId 0 ends a style's list",
         "<w:p><w:pPr><w:pStyle w:val=\"LB\"/><w:numPr><w:numId "
         "w:val=\"0\"/></w:numPr></w:pPr><w:r><w:t>a</w:t></w:r></w:p>",
         "a\n");
    docx("docx: listings",
         P("a") STYLED("Code", "  x") STYLED("Code", "") STYLED("Code", " y") P("b"),
         "a\n\n```\n  x\n\n y\n```\n\nb\n");
    docx("docx: tables",
         "<w:tbl><w:tblPr/><w:tr><w:tc><w:tcPr><w:gridSpan w:val=\"2\"/></w:tcPr>" P(
             "a") "</w:tc></w:tr>"
                  "<w:tr><w:tc>" P("b") P("c") "</w:tc><w:tc>" P("d") "</w:tc></w:tr></w:tbl>",
         "| a | |\n| --- | --- |\n| b c | d |\n");
    docx("docx: deleted, moved and inserted text",
         "<w:p><w:del><w:r><w:delText>no</w:delText></w:r></w:del><w:moveFrom><w:r><w:t>no</w:t></"
         "w:r></w:moveFrom>"
         "<w:ins><w:r><w:t>yes</w:t></w:r></w:ins><w:moveTo><w:r><w:t>, "
         "too</w:t></w:r></w:moveTo></w:p>",
         "yes, too\n");
    docx("docx: a deleted paragraph mark joins",
         "<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr><w:r><w:t xml:space=\"preserve\">a "
         "</w:t></w:r></w:p>"
         "<w:p><w:pPr><w:pStyle w:val=\"T\"/></w:pPr><w:r><w:t>b</w:t></w:r></w:p>" P("c"),
         "a b\n\nc\n");
    docx("docx: hidden text",
         "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>no</w:t></w:r><w:r><w:rPr><w:vanish "
         "w:val=\"0\"/></w:rPr><w:t>yes</w:t></w:r></w:p>",
         "yes\n");
    docx("docx: a style before a tracked change",
         "<w:p><w:pPr><w:pPrChange><w:pPr><w:pStyle "
         "w:val=\"T\"/></w:pPr></w:pPrChange></w:pPr><w:r><w:t>a</w:t></w:r></w:p>",
         "a\n");
    docx("docx: fields show their result",
         "<w:p><w:r><w:fldChar "
         "w:fldCharType=\"begin\"/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>"
         "<w:r><w:fldChar w:fldCharType=\"separate\"/></w:r><w:r><w:t>7</w:t></w:r></w:p>",
         "7\n");
    docx("docx: placeholders are left out",
         "<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>" P(
             "no") "</w:sdtContent></w:sdt>"
                   "<w:sdt><w:sdtPr/><w:sdtContent>" P("yes") "</w:sdtContent></w:sdt>",
         "yes\n");
    docx("docx: a text box, once, behind its paragraph",
         "<w:p><w:r><w:t>a</w:t><mc:AlternateContent><mc:Choice><w:txbxContent>" P("box")
             P("two") "</w:txbxContent></mc:Choice>"
                      "<mc:Fallback><w:txbxContent>" P(
                          "box") "</w:txbxContent></mc:Fallback></mc:AlternateContent></"
                                 "w:r><w:r><w:t>b</w:t></w:r></w:p>" P("c"),
         "ab\n\nbox\n\ntwo\n\nc\n");
    docx("docx: notes, the text once",
         "<w:p><w:r><w:t>a</w:t><w:footnoteReference w:id=\"2\"/><w:t>b</w:t><w:footnoteReference "
         "w:id=\"2\"/><w:footnoteReference w:id=\"5\"/></w:r></w:p>",
         "a[^1]b[^1]\n\n[^1]: the note\n");
    docx("docx: formulas", "<w:p><m:oMath><m:r><m:t>x=1</m:t></m:r></m:oMath></w:p>", "x=1\n");
    docx("docx: ruby",
         "<w:p><w:r><w:ruby><w:rt><w:r><w:t>no</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>yes</w:t></"
         "w:r></w:rubyBase></w:ruby></w:r></w:p>",
         "yes\n");
    docx("docx: damage", "<w:p>",
         "word/main.xml: XML line 1: Opening and ending tag mismatch: p line 1 and body");
}

#define ODF                                                                                        \
    "xmlns:office=\"urn:oasis:names:tc:opendocument:xmlns:office:1.0\" "                           \
    "xmlns:text=\"urn:oasis:names:tc:opendocument:xmlns:text:1.0\" "                               \
    "xmlns:table=\"urn:oasis:names:tc:opendocument:xmlns:table:1.0\" "                             \
    "xmlns:style=\"urn:oasis:names:tc:opendocument:xmlns:style:1.0\" "                             \
    "xmlns:draw=\"urn:oasis:names:tc:opendocument:xmlns:drawing:1.0\" "                            \
    "xmlns:presentation=\"urn:oasis:names:tc:opendocument:xmlns:presentation:1.0\" "               \
    "xmlns:svg=\"urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0\""

static void odt(const char *name, const char *body, const char *want)
{
    struct buf file = BUF_INIT;
    struct prose_text t;
    struct err err = {.msg = ""};
    prose_text_init(&t);
    buf_addf(&file,
             "<office:document " ODF "><office:automatic-styles>"
             "<style:style style:name=\"P1\" style:parent-style-name=\"Title\"/>"
             "<style:style style:name=\"P2\" style:parent-style-name=\"Preformatted_20_Text\"/>"
             "<text:list-style style:name=\"L1\"><text:list-level-style-number text:level=\"1\" "
             "style:num-format=\"1\" style:num-suffix=\")\" text:start-value=\"4\"/>"
             "<text:list-level-style-bullet "
             "text:level=\"2\"/></text:list-style></office:automatic-styles>"
             "<office:body><office:text>\n %s\n</office:text></office:body></office:document>",
             body);
    int status = extract_flat_odf(&t, file.p, file.len, &err);
    tap_is_str(name, status ? err.msg : t.text.p, want);
    buf_release(&file);
    prose_text_release(&t);
}

static void test_odt(void)
{
    odt("odt: paragraphs",
        "<text:p>a<text:s "
        "text:c=\"3\"/>b<text:tab/>c<text:line-break/>d</text:p>\n<text:p/>\n<text:p>e "
        "<text:span>f</text:span></text:p>",
        "a b c\nd\n\ne f\n");
    odt("odt: headings",
        "<text:p text:style-name=\"P1\">a</text:p><text:h "
        "text:outline-level=\"3\">b</text:h><text:h>c</text:h>",
        "# a\n\n### b\n\n# c\n");
    odt("odt: lists",
        "<text:list "
        "text:style-name=\"L1\"><text:list-item><text:p>a</text:p><text:p>a2</text:p></"
        "text:list-item><text:list-item><text:p>b</text:p>"
        "<text:list><text:list-item><text:p>c</text:p></text:list-item></text:list></"
        "text:list-item></text:list><text:p>d</text:p>",
        "4) a\n\n   a2\n5) b\n   - c\n\nd\n");
    odt("odt: listings",
        "<text:p text:style-name=\"P2\">a<text:s text:c=\"3\"/>b</text:p><text:p "
        "text:style-name=\"P2\">c</text:p><text:p>d</text:p>",
        "```\na   b\nc\n```\n\nd\n");
    odt("odt: tables",
        "<table:table><table:table-row><table:table-cell "
        "table:number-columns-spanned=\"2\"><text:p>a</text:p></"
        "table:table-cell><table:covered-table-cell/></table:table-row>"
        "<table:table-row><table:table-cell><text:p>b</text:p></table:table-cell><table:table-cell "
        "table:number-columns-repeated=\"1000000\"><text:p>c</text:p></table:table-cell></"
        "table:table-row></table:table>",
        "| a | |\n| --- | --- |\n| b | c |\n");
    odt("odt: notes",
        "<text:p>a<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>n</"
        "text:p></text:note-body></text:note> b</text:p>",
        "a[^1] b\n\n[^1]: n\n");
    odt("odt: changes, comments and indexes are left out",
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>no</text:p></"
        "text:deletion></text:changed-region></text:tracked-changes>"
        "<text:table-of-content><text:index-body><text:p>no</text:p></text:index-body></"
        "text:table-of-content>"
        "<text:p>a<office:annotation><text:p>no</text:p></office:annotation>b</text:p>",
        "ab\n");
    odt("odt: a frame in a paragraph",
        "<text:p>a<draw:frame><draw:text-box><text:p>box</text:p></draw:text-box><svg:desc>no</"
        "svg:desc></draw:frame>b</text:p>",
        "ab\n\nbox\n");
    odt("odt: a shape's text",
        "<text:p>a<draw:custom-shape><text:p>shape</text:p></draw:custom-shape>b</text:p>",
        "ab\n\nshape\n");
    odt("odp: a title",
        "<draw:page><draw:frame "
        "presentation:class=\"title\"><draw:text-box><text:p>T</text:p></draw:text-box></"
        "draw:frame>"
        "<draw:frame "
        "presentation:class=\"page-number\"><draw:text-box><text:p>7</text:p></draw:text-box></"
        "draw:frame>"
        "<draw:frame "
        "presentation:class=\"outline\"><draw:text-box><text:list><text:list-item><text:p>x</"
        "text:p></text:list-item></text:list></draw:text-box></draw:frame></draw:page>",
        "# T\n\n- x\n");
    odt("odt: damage", "<text:p>",
        "XML line 3: Opening and ending tag mismatch: p line 2 and text");
}

#define A                                                                                          \
    "xmlns:a=\"http://schemas.openxmlformats.org/drawingml/2006/main\" "                           \
    "xmlns:p=\"http://schemas.openxmlformats.org/presentationml/2006/main\" "                      \
    "xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\""
#define SHAPE(ph, paragraphs)                                                                      \
    "<p:sp><p:nvSpPr><p:nvPr>" ph "</p:nvPr></p:nvSpPr><p:txBody>" paragraphs "</p:txBody></p:sp>"
#define AP(properties, text) "<a:p>" properties "<a:r><a:t>" text "</a:t></a:r></a:p>"

static void pptx(const char *name, const char *slide1, const char *slide2, const char *want)
{
    struct package p = {0};
    struct prose_text t;
    struct err err = {.msg = ""};
    struct buf slide = BUF_INIT;
    prose_text_init(&t);
    add_part(&p, "ppt/presentation.xml",
             "<p:presentation " A
             "><p:sldIdLst><p:sldId id=\"256\" r:id=\"r7\"/><p:sldId id=\"257\" r:id=\"r2\"/>"
             "<p:sldId id=\"258\" r:id=\"r7\"/></p:sldIdLst></p:presentation>");
    add_part(&p, "ppt/_rels/presentation.xml.rels",
             RELATIONSHIPS "<Relationship Id=\"r2\" " TYPE "slide\" Target=\"slides/a.xml\"/>"
                           "<Relationship Id=\"r7\" " TYPE
                           "slide\" Target=\"slides/b.xml\"/></Relationships>");
    buf_addf(&slide, "<p:sld " A "><p:cSld><p:spTree>%s</p:spTree></p:cSld></p:sld>", slide1);
    add_part(&p, "ppt/slides/b.xml", slide.p);
    buf_clear(&slide);
    buf_addf(&slide, "<p:sld " A "><p:cSld><p:spTree>%s</p:spTree></p:cSld></p:sld>", slide2);
    add_part(&p, "ppt/slides/a.xml", slide.p);
    add_part(&p, "ppt/slides/_rels/a.xml.rels",
             RELATIONSHIPS "<Relationship Id=\"r1\" " TYPE
                           "notesSlide\" Target=\"../notesSlides/n.xml\"/></Relationships>");
    add_part(&p, "ppt/notesSlides/n.xml",
             "<p:notes " A ">" SHAPE("<p:ph type=\"sldImg\"/>", AP("", "no"))
                 SHAPE("<p:ph type=\"body\"/>", AP("", "say it")) "</p:notes>");
    int status = extract_pptx(&t, &p, &err);
    tap_is_str(name, status ? err.msg : t.text.p, want);
    package_release(&p);
    prose_text_release(&t);
    buf_release(&slide);
}

static void test_pptx(void)
{
    pptx("pptx: slides in order, each once, titles first, with notes",
         SHAPE("<p:ph idx=\"1\"/>",
               AP("", "x") AP("<a:pPr lvl=\"1\"/>", "y") AP("<a:pPr><a:buNone/></a:pPr>", "z"))
             SHAPE("<p:ph type=\"title\"/>", AP("", "First") AP("", "line")),
         SHAPE("<p:ph type=\"ctrTitle\"/>", AP("", "Second")),
         "# First line\n\n- x\n  - y\n\nz\n\n# Second\n\nNotes:\n\nsay it\n");
    pptx("pptx: what slides repeat is left out",
         SHAPE("<p:ph type=\"ftr\"/>", AP("", "no")) SHAPE("<p:ph type=\"sldNum\"/>", AP("", "1"))
             SHAPE("", AP("", "text") "<a:p><a:fld "
                                      "type=\"slidenum\"><a:t>1</a:t></a:fld><a:r><a:t>b</a:t></"
                                      "a:r><a:br/><a:r><a:t>c</a:t></a:r></a:p>"),
         "", "text\n\nb\nc\n\nNotes:\n\nsay it\n");
    pptx("pptx: numbers",
         SHAPE("", AP("<a:pPr><a:buAutoNum type=\"arabicPeriod\"/></a:pPr>", "a")
                       AP("<a:pPr><a:buAutoNum/></a:pPr>", "b")
                           AP("<a:pPr lvl=\"99\"><a:buChar char=\"x\"/></a:pPr>", "c")),
         "", "1. a\n2. b\n                 - c\n\nNotes:\n\nsay it\n");
    pptx("pptx: tables",
         "<p:graphicFrame><a:tbl><a:tr><a:tc gridSpan=\"2\"><a:txBody>" AP(
             "", "a") "</a:txBody></"
                      "a:tc><a:tc "
                      "hMerge=\"1\"/"
                      "></"
                      "a:tr><a:tr><a:"
                      "tc><a:"
                      "txBody>" AP(
                          "", "b") "</"
                                   "a:"
                                   "txBody"
                                   "></"
                                   "a:tc>"
                                   "<a:tc>"
                                   "<a:"
                                   "txBody"
                                   ">" AP("",
                                          "c") "</a:txBody></a:tc></a:tr></a:tbl></p:graphicFrame>",
         "", "| a | |\n| --- | --- |\n| b | c |\n\nNotes:\n\nsay it\n");
}

static void html(const char *name, const char *page, const char *want)
{
    struct prose_text t;
    struct err err = {.msg = ""};
    struct html_source source = {NULL, NULL, false};
    prose_text_init(&t);
    int status = extract_html(&t, page, strlen(page), &source, NULL, &err);
    tap_is_str(name, status ? err.msg : t.text.p, want);
    prose_text_release(&t);
}

static void test_html(void)
{
    html("html: blocks", "a<p>b<div>c <b>d</b>\n<i>e</i></div>f<hr>g",
         "a\n\nb\n\nc d e\n\nf\n\ng\n");
    html("html: entities", "<p>&lt;&amp;&eacute;&nbsp;x&#8364;&unknown;",
         "<&\xc3\xa9\xc2\xa0x\xe2\x82\xac&unknown;\n");
    html("html: headings and the title", "<title>T</title><h2>a <a href=x>b</a></h2><h6>c</h6>",
         "# T\n\n## a b\n\n###### c\n");
    html("html: its own heading", "<title>T</title><h1>a</h1>", "# a\n");
    html("html: lists", "<ol start=3><li>a<ul><li>b</ul><li value=9>c</ol>d",
         "3. a\n   - b\n9. c\n\nd\n");
    html("html: an item of paragraphs", "<ul><li><p>a</p><p>b</p></li><li>c</li></ul>",
         "- a\n\n  b\n- c\n");
    html("html: definitions", "<dl><dt>a<dd>b</dl>", "a\n\nb\n");
    html("html: tables",
         "<table><thead><tr><th>a<th>b</thead><tbody><tr><td rowspan=2>c<td>d<tr><td>e</table>",
         "| a | b |\n| --- | --- |\n| c | d |\n| | e |\n");
    html("html: a page laid out in a table",
         "<table><tr><td><ul><li>x</ul><td><h1>T</h1><p>a<p>b</table>", "- x\n\n# T\n\na\n\nb\n");
    html("html: a list in a table in a list",
         "<ul><li>a<table><tr><td><ul><li>b</ul><td>c</table></ul>d",
         "- a\n\n  | - b | c |\n  | --- | --- |\n\nd\n");
    html("html: listings", "<pre>\n  a\n<b>b</b>\n</pre>", "```\n  a\nb\n```\n");
    html("html: left out",
         "<style>no</style><script>no</script><nav>no<p>no</nav><p hidden>no<div "
         "role=navigation>no</div><svg><text>no</text></svg><noscript>no</noscript>"
         "<p "
         "aria-hidden=true>no</p><select><option>no</select><button>no</button><template><p>no</"
         "template><del>no</del>yes",
         "yes\n");
    html("html: comments and declarations", "<!-- no --><!DOCTYPE html><?php no ?><p>a<!-- no -->b",
         "ab\n");
    html("html: line breaks and quotes", "a<br>b<br/><q>c</q>", "a\nb\n\"c\"\n");
    html("html: XHTML",
         "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><html "
         "xmlns=\"http://www.w3.org/1999/xhtml\"><body><p>\xe9</p></body></html>",
         "\xc3\xa9\n");
    html("html: declared by http-equiv",
         "<meta http-equiv=Content-Type content='text/html; charset=windows-1251'><p>\xef",
         "\xd0\xbf\n");
    html("html: an unknown charset", "<meta charset=klingon><p>\xc3\xa9", "\xc3\xa9\n");
    html("html: nothing", "", "");
    html("html: unfinished", "<p>a<table><tr><td>b<td", "a\n\nb\n");
    html("html: a NUL's reference", "<p>a&#0;b", "ab\n");
}

static void pdf(const char *name, const char *pages, const char *want)
{
    struct buf out = BUF_INIT;
    pdf_text_flow(&out, pages, strlen(pages));
    tap_is_str(name, out.p, want);
    buf_release(&out);
}

#define FILL "The quick brown fox jumps over the lazy dog and runs\n"

static void test_pdf(void)
{
    pdf("pdf: nothing", "\n\f", "");
    pdf("pdf: few lines stay", "a\n\nb\nc\n\f", "a\n\nb\nc\n");
    pdf("pdf: full lines go on, words are whole again",
        FILL FILL FILL
        "Away from the very large and the very hungry won-\nderful \xef\xac\x81sh.\nShort.\n" FILL
        "\nEnd\n\f",
        "The quick brown fox jumps over the lazy dog and runs The quick brown fox jumps over the "
        "lazy dog and runs "
        "The quick brown fox jumps over the lazy dog and runs Away from the very large and the "
        "very hungry wonderful fish.\nShort.\n"
        "The quick brown fox jumps over the lazy dog and runs\n\nEnd\n");
    pdf("pdf: running titles and page numbers go, a paragraph goes on behind them",
        "My report\n\n" FILL FILL "\nPage 1 of 3\n\fMy report\n\n" FILL FILL
        "\nPage 2 of 3\n\fMy report\n\nand ends.\n\nPage 3 of 3\n\f",
        "The quick brown fox jumps over the lazy dog and runs The quick brown fox jumps over the "
        "lazy dog and runs "
        "The quick brown fox jumps over the lazy dog and runs The quick brown fox jumps over the "
        "lazy dog and runs and ends.\n");
    pdf("pdf: contents", "1. A . . . . . . . 7\nB..........12\nC\n\f", "C\n");
    pdf("pdf: no ends", "a\fb", "a\nb\n");
}

/* Each byte of a file changed, and each cut: an error or a sound text, never more. */
static void test_damage(void)
{
    static const char body[] = STYLED("T", "a") ITEM("2", "0", "b") "<w:tbl><w:tr><w:tc>" P(
        "c") "</w:tc><w:tc>" P("d") "</w:tc></w:tr></w:tbl>";
    struct rng rng;
    size_t wrong = 0, errors = 0;
    rng_init(&rng, 3, 0);
    for (int round = 0; round < 3000; round++) {
        struct package p;
        struct prose_text t;
        struct err err = {.msg = ""};
        prose_text_init(&t);
        make_docx(&p, body);
        struct buf *data = &p.parts[rng_below(&rng, p.n_parts)].data;
        if (round % 2) {
            data->len = rng_below(&rng, data->len);
            data->p[data->len] = 0;
        } else {
            data->p[rng_below(&rng, data->len)] = (char)rng_u32(&rng);
        }
        if (extract_docx(&t, &p, &err)) {
            errors++;
            wrong += !*err.msg || strchr(err.msg, '\n');
        } else {
            wrong += !utf8_is_valid(t.text.p, t.text.len);
        }
        package_release(&p);
        prose_text_release(&t);
    }
    tap_ok(wrong == 0 && errors > 1000, "docx: 3,000 damaged ones (%zu refused)", errors);
}

static void kind(const char *name, const char *head, size_t len, enum file_kind want,
                 const char *type_wanted)
{
    struct file_type type = file_type_of(name, head, len);
    tap_ok(type.kind == want && !strcmp(type.name, type_wanted), "kind of %s: %d %s", name,
           (int)type.kind, type.name);
}

static void test_kinds(void)
{
    kind("a.txt", "x", 1, FILE_PLAIN, "text");
    kind("a.md", "x", 1, FILE_MARKDOWN, "markdown");
    kind("a.md", "<h1>x</h1>", 10, FILE_MARKDOWN, "markdown");
    kind("a.txt", "\xef\xbb\xbf <!-- x --> <HTML>", 21, FILE_HTML, "html");
    kind("a", "<?xml version='1.0'?><!DOCTYPE html>", 36, FILE_HTML, "html");
    kind("a", "<?xml version='1.0'?><x>", 24, FILE_PLAIN, "xml");
    kind("a.fodt", "<?xml version='1.0'?><office:document >", 38, FILE_FLAT_ODT, "odt");
    kind("a.HTM", "x", 1, FILE_HTML, "html");
    kind("a.docx", "PK\3\4", 4, FILE_ZIP, "zip");
    kind("a.docx", "PK", 2, FILE_PLAIN, "text");
    kind("a", "\x1f\x8b\x08", 3, FILE_ARCHIVE, "archive");
    kind("a", "070701 is no cpio", 17, FILE_PLAIN, "text");
    kind("a", "BZh9 is no bzip2", 16, FILE_PLAIN, "text");
    kind("a.doc", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, FILE_UNSUPPORTED, "doc");
    kind("a", "%PDF-1.7", 8, FILE_PDF, "pdf");
    kind("a.txt", "A file that begins with %PDF-1.7", 32, FILE_PLAIN, "text");
    kind("a.txt", "{\\rtf1", 6, FILE_RTF, "rtf");
    kind("a.txt", "a\0b", 3, FILE_BINARY, "binary");
    kind("a.jsonl", "{}", 2, FILE_JSONL, "jsonl");
    kind("dir.md/a", "x", 1, FILE_PLAIN, "text");
}

int main(void)
{
    test_docx();
    test_odt();
    test_pptx();
    test_html();
    test_pdf();
    test_damage();
    test_kinds();
    return tap_done();
}
