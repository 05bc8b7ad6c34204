/*
 * Parts of spreadsheets and books, so that mutations needn't get through a zip's checksums: the
 * first byte says which part the rest is, among others that refer to it.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "check_text.h"
#include "text/extract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 1 << 20 };

#define S "xmlns='/spreadsheetml/' "

static const char *const parts[][2] = {
    {"xl/workbook.xml",
     "<workbook " S
     "xmlns:r='relationships'><sheets><sheet name='N' r:id='a'/></sheets></workbook>"},
    {"xl/s.xml",
     "<worksheet " S "><sheetData><row><c s='0'><v>1.5</v></c><c t='s'><v>0</v></c></row>"
     "</sheetData></worksheet>"},
    {"xl/strings.xml", "<sst " S "><si><t>x</t></si></sst>"},
    {"xl/styles.xml", "<styleSheet " S "><cellXfs><xf numFmtId='14'/></cellXfs></styleSheet>"},
    {"content.xml", "<x/>"},
    {"b.opf", "<package xmlns='http://www.idpf.org/2007/opf'><manifest><item id='p' href='p.xhtml' "
              "media-type='application/xhtml+xml'/></manifest><spine><itemref idref='p'/></spine>"
              "</package>"},
    {"p.xhtml", "<h1>x</h1>"},
    {"META-INF/container.xml", "<container xmlns=':opendocument:xmlns:container'><rootfiles>"
                               "<rootfile full-path='b.opf'/></rootfiles></container>"},
    {"META-INF/encryption.xml", "<x/>"},
    {"xl/_rels/workbook.xml.rels",
     "<Relationships xmlns='/package/2006/relationships'><Relationship Id='a' Type='/worksheet' "
     "Target='s.xml'/><Relationship Type='/sharedStrings' Target='strings.xml'/>"
     "<Relationship Type='/styles' Target='styles.xml'/></Relationships>"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct package package = {0};
    struct prose_text t;
    struct encoding how;
    struct err err = {.msg = ""};
    if (!size)
        return 0;
    size_t which = data[0] % ARRAY_SIZE(parts);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        add_part(&package, parts[i][0], i == which ? (const void *)(data + 1) : parts[i][1],
                 i == which ? size - 1 : strlen(parts[i][1]));
    prose_text_init(&t);
    int status = which == 4                ? extract_ods(&t, &package, LIMIT, &err)
                 : which >= 5 && which < 9 ? extract_epub(&t, &package, NULL, &how, &err)
                                           : extract_xlsx(&t, &package, LIMIT, &err);
    if (!status)
        check_text(&t);
    else if (!*err.msg)
        abort();
    prose_text_release(&t);
    package_release(&package);
    return 0;
}
