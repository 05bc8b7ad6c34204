/* encoding: what isn't declared is told by its letters; and how --encoding and marks come first. */
#include <iconv.h>
#include <string.h>

#include "tap.h"

#include "base/mem.h"
#include "text/encoding.h"

static const struct {
    const char *text;        /* UTF-8 */
    const char *charsets[5]; /* in which it is recognised */
} samples[] = {
    {"Die Übergabe der Größe war für alle Beteiligten äußerst schön.\n",
     {"WINDOWS-1252", "CP850", "MACINTOSH"}},
    {"Où est passé l'été ? À la forêt, près du chêne, ça va.\n",
     {"WINDOWS-1252", "CP850", "MACINTOSH"}},
    {"Il y a 5 à 7 jours\n", {"WINDOWS-1252"}},
    {"Não há solução para a situação em São Paulo.\n", {"WINDOWS-1252"}},
    {"Får får får? Nej, får får lamm. Älgen gick över ån.\n", {"WINDOWS-1252"}},
    {"It’s a “quoted” text — with dashes… and café.\n", {"WINDOWS-1252"}},
    {"Price: 5€ or 10£, ±3°, §4, ½ cup, © 2020 ACME®\n", {"WINDOWS-1252"}},
    {"Wszystkie dzieci są głodne, więc jedzą śniadanie.\n", {"WINDOWS-1250"}},
    {"Příliš žluťoučký kůň úpěl ďábelské ódy.\n", {"WINDOWS-1250"}},
    {"Это обычный русский текст, в котором много слов.\n", {"WINDOWS-1251", "KOI8-R", "IBM866"}},
    {"привет\n", {"WINDOWS-1251", "KOI8-R", "IBM866"}},
    {"Це звичайний український текст, у якому є їжак.\n", {"WINDOWS-1251"}},
    {"Αυτό είναι ένα κείμενο στα ελληνικά με πολλές λέξεις.\n", {"WINDOWS-1253"}},
    {"これは日本語の文章です。東京は日本の首都であり。\n", {"CP932", "EUC-JP"}},
    {"製品説明書\n概要について\n", {"CP932", "EUC-JP"}},
    {"型番\n光源\nGZ4 ダイクロイックミラーランプ 12V 10W×1\n高・295 幅・365\n樹脂　アルミ\n",
     {"CP932", "EUC-JP"}},
    {"这是中文的一个文本。北京是中国的首都，人口很多。\n", {"GB18030"}},
    {"這是中文的一個文本。台北是台灣的首都，人口很多。\n", {"BIG5-HKSCS"}},
    {"이것은 한국어 문장입니다. 서울은 한국의 수도이다.\n", {"EUC-KR"}},
    {"Hello wörld, this is text\n", {"UTF-16LE", "UTF-16BE"}},
    {"Привет, как дела\n", {"UTF-16LE", "UTF-16BE"}},
};

static void encode(struct buf *out, const char *text, const char *charset)
{
    iconv_t cd = iconv_open(charset, "UTF-8");
    char *in = (char *)(uintptr_t)text;
    size_t left = strlen(text);
    buf_clear(out);
    buf_reserve(out, 4 * left);
    char *to = out->p;
    size_t room = out->cap - 1;
    if (cd == (iconv_t)-1 || iconv(cd, &in, &left, &to, &room) == (size_t)-1)
        tap_ok(false, "%s: can't be made", charset);
    out->len = (size_t)(to - out->p);
    iconv_close(cd);
}

static void test_guesses(void)
{
    struct buf bytes = BUF_INIT, text = BUF_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        for (size_t j = 0; samples[i].charsets[j]; j++) {
            struct encoding how;
            encode(&bytes, samples[i].text, samples[i].charsets[j]);
            buf_clear(&text);
            encoding_decode(&text, bytes.p, bytes.len, NULL, NULL, &how);
            tap_ok(!strcmp(text.p, samples[i].text), "guess: %s, read as %s, of: %.*s",
                   samples[i].charsets[j], how.name, (int)strcspn(samples[i].text, "\n"),
                   samples[i].text);
        }
    buf_release(&bytes);
    buf_release(&text);
}

static void decodes(const char *name, const char *bytes, size_t len, const char *declared,
                    const char *otherwise, const char *want, const char *encoding, bool guessed)
{
    struct buf out = BUF_INIT;
    struct encoding how;
    encoding_decode(&out, bytes, len, declared, otherwise, &how);
    tap_ok(!strcmp(out.p, want) && !strcmp(how.name, encoding) && how.guessed == guessed,
           "%s: \"%s\" as %s", name, out.p, how.name);
    buf_release(&out);
}

static void test_order(void)
{
    decodes("--encoding", "\xe9", 1, NULL, "koi8-r", "И", "koi8-r", false);
    decodes("--encoding, but it is UTF-8", "\xc3\xa9", 2, NULL, "koi8-r", "é", "UTF-8", false);
    decodes("--encoding, but it says another", "\xe9", 1, "latin1", "koi8-r", "é", "WINDOWS-1252",
            false);
    decodes("--encoding with seven bits", "\x1b$B$\"\x1b(B", 8, NULL, "ISO-2022-JP", "あ",
            "ISO-2022-JP", false);
    decodes("damaged UTF-8", "d\xc3\xa9j\xc3\xa0 v\xc3\xa9 \xc3\xa9\xc3\xa9 \xc3", 18, NULL, NULL,
            "déjà vé éé \xef\xbf\xbd", "UTF-8", true);
    tap_ok(!encoding_is_binary("h\0\xe9\0l\0l\0o\0", 10), "UTF-16 without a mark is text");
    tap_ok(encoding_is_binary("\1\0\2\0\3\0\4\0\5\0", 10), "small numbers aren't");
    tap_ok(encoding_is_binary("a\0b\0c\0\0\xdc", 8), "nor what has half a pair");
    tap_ok(encoding_is_known("latin1") && !encoding_is_known("klingon") && !encoding_is_known("") &&
               !encoding_is_known("utf-8//translit"),
           "names");
}

int main(void)
{
    test_guesses();
    test_order();
    return tap_done();
}
