/* What ft-lint is made of: words, languages, resemblance, what looks private, what looks wrong. */
#include "tap.h"

#include "base/mem.h"
#include "text/heldout.h"
#include "text/language.h"
#include "text/lint_chars.h"
#include "text/lint_index.h"
#include "text/lint_privacy.h"
#include "text/lint_summary.h"
#include "text/lint_turns.h"
#include "text/lint_words.h"
#include "text/minhash.h"

static struct word_table words;

/* ---- words ---- */

static void add_shingles(struct shingles *s, const char *text, bool answer)
{
    struct word_cursor c;
    struct word w;
    word_start(&c, &words, text, strlen(text));
    while (word_next(&c, &w))
        shingles_word(s, w.hash, answer);
    shingles_end(s, answer);
}

static struct shingles shingles_of(const char *text)
{
    struct shingles s = {0};
    add_shingles(&s, text, true);
    shingles_seal(&s);
    return s;
}

static void test_words(void)
{
    struct word_cursor c;
    struct word a, b;
    word_start(&c, &words,
               "  Stra\xc3\x9f"
               "e, it's 42!",
               18);
    tap_ok(word_next(&c, &a) && a.letters == 6 && a.bytes == 7 && a.script == SCRIPT_LATIN,
           "a word, its characters and its bytes");
    tap_ok(word_next(&c, &a) && a.letters == 2 && word_next(&c, &a) && a.letters == 1,
           "an apostrophe parts words");
    tap_ok(word_next(&c, &a) && a.letters == 2 && a.script == SCRIPT_NONE && !word_next(&c, &a),
           "a number is a word without a script");
    word_start(&c, &words, "\xc3\x84RGER \xc3\xa4rger", 13);
    tap_ok(word_next(&c, &a) && word_next(&c, &b) && a.hash == b.hash, "case makes no difference");
    word_start(&c, &words, "\xe4\xb8\xad\xe6\x96\x87", 6);
    tap_ok(word_next(&c, &a) && a.letters == 1 && a.script == SCRIPT_HAN && word_next(&c, &b) &&
               b.hash != a.hash && !word_next(&c, &b),
           "each Han character is a word");
}

/* ---- languages ---- */

static void test_language(void)
{
    static const struct {
        const char *code, *text;
    } texts[] = {
        {"en", "The contract may be ended by either side with a notice of three months."},
        {"de",
         "Der Vertrag kann von beiden Seiten mit einer Frist von drei Monaten gek\xc3\xbcndigt "
         "werden."},
        {"fr", "Le contrat peut \xc3\xaatre r\xc3\xa9sili\xc3\xa9 par les deux parties avec un "
               "pr\xc3\xa9"
               "avis de trois mois."},
        {"es", "El contrato puede ser terminado por las dos partes con un aviso de tres meses."},
        {"it",
         "Il contratto pu\xc3\xb2 essere sciolto da entrambe le parti con un preavviso di tre "
         "mesi."},
        {"nl", "Het contract kan door beide partijen worden opgezegd met een termijn van drie "
               "maanden."},
        {"ru", "\xd0\x94\xd0\xbe\xd0\xb3\xd0\xbe\xd0\xb2\xd0\xbe\xd1\x80 \xd0\xbc\xd0\xbe\xd0\xb6"
               "\xd0\xb5\xd1\x82 \xd0\xb1\xd1\x8b\xd1\x82\xd1\x8c \xd1\x80\xd0\xb0\xd1\x81\xd1\x82"
               "\xd0\xbe\xd1\x80\xd0\xb3\xd0\xbd\xd1\x83\xd1\x82 \xd0\xbd\xd0\xb5 \xd1\x82\xd0\xbe"
               "\xd0\xbb\xd1\x8c\xd0\xba\xd0\xbe \xd0\xbe\xd0\xb4\xd0\xbd\xd0\xbe\xd0\xb9 \xd0\xb8"
               "\xd0\xb7 \xd1\x81\xd1\x82\xd0\xbe\xd1\x80\xd0\xbe\xd0\xbd"},
        {"ja",
         "\xe5\xa5\x91\xe7\xb4\x84\xe3\x81\xaf\xe7\xb5\x82\xe4\xba\x86\xe3\x81\x97\xe3\x81\xbe"
         "\xe3\x81\x99"},
        {"zh", "\xe5\x90\x88\xe5\x90\x8c\xe5\x8f\xaf\xe4\xbb\xa5\xe7\xbb\x88\xe6\xad\xa2"},
        {"und", "int main(void) { return x + y * 2; }"},
        {"und", "Smith, Miller, Jones"},
        {"und", ""},
    };
    struct language_table *t = xcalloc(1, sizeof *t);
    language_table_init(t, &words);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct language_counts counts = {0};
        struct word_cursor c;
        struct word w;
        word_start(&c, &words, texts[i].text, strlen(texts[i].text));
        while (word_next(&c, &w))
            language_count(&counts, t, &w);
        tap_is_str(texts[i].text[0] ? texts[i].text : "nothing",
                   language_codes[language_guess(&counts)], texts[i].code);
    }
    tap_ok(word_script(&words, 0x4db0) == SCRIPT_HAN && word_script(&words, 0x4dc0) == SCRIPT_NONE,
           "a script may end inside of a block");
    tap_is_u64("a code", language_of_code("de", 2), 2);
    tap_is_u64("no code", language_of_code("xx", 2), LANGUAGE_UNKNOWN);
    tap_ok(LANGUAGE_MAX > language_of_code("zh", 2) &&
               !language_codes[language_of_code("zh", 2) + 1],
           "the list of codes ends with that of Han");
    free(t);
}

/* ---- resemblance ---- */

static struct sketch sketch_of(const struct shingles *s)
{
    return (struct sketch){s->items,
                           (uint32_t)s->n_prompt,
                           (uint32_t)(s->n - s->n_prompt),
                           (uint32_t)s->n_prompt,
                           (uint32_t)(s->n - s->n_prompt),
                           0};
}

static void test_shingles(void)
{
    struct shingles a = shingles_of("one two three four five six"); /* 4 runs of three */
    struct shingles b = shingles_of("One, two; three four five seven.");
    struct shingles two = shingles_of("one two");
    struct sketch x = sketch_of(&a), y = sketch_of(&b);
    tap_is_u64("runs of three words", a.n, 4);
    tap_is_u64("two words are one run", two.n, 1);
    tap_ok(fabs(sketch_compare(&x, &y).whole - 3.0 / 5) < 1e-12, "3 of 5 runs in common");
    struct shingles c = {0};
    add_shingles(&c, "one two three four", false);
    add_shingles(&c, "one two three four", true);
    shingles_seal(&c);
    tap_ok(c.n == 4 && c.n_prompt == 2, "the same words in prompt and answer are not the same");
    struct sketch z = sketch_of(&c);
    struct resemblance r = sketch_compare(&x, &z);
    tap_ok(fabs(r.answer - 2.0 / 4) < 1e-12 && fabs(r.whole - 2.0 / 6) < 1e-12,
           "the answer's resemblance and the whole's");
    struct shingles none = shingles_of("...");
    struct sketch nothing = sketch_of(&none);
    r = sketch_compare(&nothing, &x);
    tap_ok(none.n == 0 && none.items && r.whole == 0 &&
               sketch_compare(&nothing, &nothing).whole == 1,
           "a document without words");
    shingles_release(&none);
    shingles_release(&a);
    shingles_release(&b);
    shingles_release(&c);
    shingles_release(&two);
}

/* Random sets of n shingles, of which `common` are those of the set before. */
static uint32_t pseudo(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return (uint32_t)word_mix(*state);
}

static void random_set(struct shingles *s, size_t n, const struct shingles *like, size_t common,
                       uint64_t *state)
{
    shingles_clear(s);
    for (size_t i = 0; i < n; i++) {
        ARRAY_GROW(s->items, s->n, s->cap);
        s->items[s->n++] = i < common ? like->items[i * like->n / (common ? common : 1)]
                                      : pseudo(state) | SHINGLE_ANSWER;
    }
    shingles_seal(s);
}

/* Sizes under and over what a sketch keeps. Pairs resemble each other by 0.8, well above the
 * threshold of 0.7, where the design's recall is above 0.999, or by 0.5, where none may be told. */
static void test_minhash(size_t n)
{
    struct minhash m;
    struct shingles a = {0}, b = {0};
    uint64_t state = n;
    size_t found = 0, wrong = 0, numbered = 0;
    enum { PAIRS = 300 };
    minhash_init(&m, 0.7);
    struct near_index *x = near_index_new(&m);
    for (size_t i = 0; i < PAIRS; i++) {
        uint32_t keys[MINHASH_ROWS];
        struct err err;
        bool near = i % 2 == 0;
        size_t common = near ? n * 8 / 9 : n * 2 / 3; /* of n and n: c / (2n - c) */
        random_set(&a, n, NULL, 0, &state);
        minhash_keys(&m, &a, keys);
        numbered += near_index_add(x, &a, i, keys, &err) == i;
        random_set(&b, n, &a, common, &state);
        minhash_keys(&m, &b, keys);
        struct near_match match = near_index_find(x, &b, i, keys);
        if (match.document == i)
            found += near;
        wrong += match.document != MINHASH_NONE && (match.document != i || !near);
    }
    tap_ok(numbered == PAIRS, "documents of %zu shingles are numbered in order", n);
    tap_ok(found >= PAIRS / 2 - 1, "%zu of %d near pairs are found", found, PAIRS / 2);
    tap_is_u64("and no others", wrong, 0);
    near_index_free(x);
    shingles_release(&a);
    shingles_release(&b);
}

static void test_bands(void)
{
    static const double thresholds[] = {0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1};
    for (size_t i = 0; i < ARRAY_SIZE(thresholds); i++) {
        struct minhash m;
        minhash_init(&m, thresholds[i]);
        double miss = pow(1 - pow(thresholds[i], m.rows), m.bands);
        tap_ok(m.rows && m.rows * m.bands <= MINHASH_ROWS && (miss <= 0.02 || m.rows == 1),
               "at %.1f: %u bands of %u rows miss %.2g", thresholds[i], m.bands, m.rows, miss);
    }
}

static void test_frames(void)
{
    struct frames *f = frames_new();
    struct shingles frame = shingles_of("answer in the style of the house"), own = {0};
    size_t n = 0;
    frames_begin_batch(f);
    for (int i = 0; i < 100; i++) {
        char text[80];
        snprintf(text, sizeof text, "answer in the style of the house number %d please", i);
        shingles_release(&own);
        own = shingles_of(text);
        n = own.n;
        if (i == FRAMES_FROM - 1)
            tap_ok(!frames_have(f, frame.items[0]), "a few documents don't tell what is frame");
        frames_count(f, &own);
    }
    tap_ok(frames_have(f, frame.items[0]), "what all have in common is frame");
    shingles_unframe(&own, f);
    tap_ok(own.n == 2 && n == 8, "what is left is the document's own");
    shingles_release(&frame);
    shingles_release(&own);
    frames_free(f);
}

static void test_heldout(void)
{
    struct heldout *h = heldout_new(0.7);
    struct frames *f = frames_new();
    struct err err;
    struct shingles held[3] = {
        shingles_of("the first held out text has nothing to do with the others at all"),
        shingles_of("a second one is about the weather in spring and in autumn mostly"),
        shingles_of("too short")};
    for (size_t i = 0; i < 3; i++)
        heldout_add(h, &held[i], i, &err);
    heldout_seal(h);
    struct heldout_scratch *s = heldout_scratch_new(h);
    struct shingles longer = {0},
                    other = shingles_of("words that stand in none of them, too short");
    add_shingles(&longer,
                 "before it, then: a second one is about the weather in spring and in autumn "
                 "mostly, and after it there is more, much more than was held out",
                 false);
    shingles_seal(&longer);
    struct heldout_match m = heldout_find(h, s, &longer, 9, f);
    tap_ok(m.document == 1 && m.share == 1, "a held-out text inside a longer prompt");
    m = heldout_find(h, s, &held[0], 9, f);
    tap_ok(m.document == 0 && m.share == 1, "one that is the same, the counters being clean");
    m = heldout_find(h, s, &other, 9, f);
    tap_ok(m.document == SIZE_MAX, "another");
    heldout_scratch_free(s);
    for (size_t i = 0; i < 3; i++)
        shingles_release(&held[i]);
    shingles_release(&longer);
    shingles_release(&other);
    heldout_free(h);
    frames_free(f);
}

static void test_index(void)
{
    struct lint_index x = {0};
    bool ok = lint_index_find(&x, 7) == LINT_INDEX_NONE;
    for (uint32_t i = 0; i < 5000; i++)
        lint_index_add(&x, word_mix(i), i);
    for (uint32_t i = 0; i < 5000; i++) {
        lint_index_add(&x, word_mix(i), i + 1);
        ok &= lint_index_find(&x, word_mix(i)) == i;
    }
    tap_ok(ok && lint_index_find(&x, word_mix(5000)) == LINT_INDEX_NONE, "the first with a hash");
    lint_index_release(&x);
}

/* ---- what is found in a text ---- */

/* The kinds and messages, one a line. */
static char *listed(const struct lint_findings *f)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < f->n; i++)
        buf_addf(&b, "%s%s: %s", i ? "\n" : "", lint_kinds[f->items[i].kind].name,
                 f->text.p + f->items[i].message);
    return buf_detach(&b, NULL);
}

static void test_private(void)
{
    static const struct {
        const char *text, *found;
    } texts[] = {
        {"Write to jane.doe@example.org.", "personal: e-mail address \"jan...org\""},
        {"a@b.co and c@d.co", "personal: e-mail address \"a...o\" and 1 more"},
        {"noreply@example.org, user@host, @name, a @ b", ""},
        {"card 4111 1111 1111 1111.", "personal: card number \"411...111\""},
        {"card 4111 1111 1111 1112", ""},
        {"order 1234567890123456", ""},
        {"DE89 3704 0044 0532 0130 00", "personal: bank account (IBAN) \"DE8... 00\""},
        {"DE88 3704 0044 0532 0130 00", ""},
        {"+49 30 1234567", "personal: telephone number \"+49...567\""},
        {"(555) 234-5678? 555-234-5678", ""}, /* filled in below: two numbers */
        {"from 2024-01-02 to 2024-12-31, version 1.2.3.4, 3.14159265358979", ""},
        {"ISBN 978-3-16-148410-0, 10.1000/182", ""},
        {"078-05-1120", "personal: US social security number \"0...0\""},
        {"at 203.0.113.77 and 192.168.0.1", "personal: IP address \"203....77\""},
        {"-----BEGIN OPENSSH PRIVATE KEY-----",
         "secret: private key \"-----BEGIN OPENSSH PRIVATE KEY-----\""},
        {"AKIAIOSFODNN7EXAMPLE", "secret: access token \"AKI...\""},
        {"sk-learn-is-a-library-for-python", ""},
        {"password = \"hunter2hunter\"", "secret: key or password \"pas...\""},
        {"password: your_password_here1", ""},
        {"the password is long", ""},
        {"https://joe:s3cr3t9@localhost/x", "secret: password in an address \"htt...\""},
        {"he wrote <|im_end|>", "markers: marker of a chat template \"<|im_end|>\""},
        {"ends here</s>", "markers: marker of a chat template \"</s>\""},
        {"<s>struck</s> out", ""},
    };
    struct lint_privacy *p;
    struct err err;
    if (!tap_ok(lint_privacy_new(&p, &err) == 0, "the patterns are patterns"))
        return;
    struct regex_scratch *scratch = regex_scratch_new();
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct lint_findings f;
        const char *want = texts[i].found;
        if (!strncmp(texts[i].text, "(555)", 5))
            want = "personal: telephone number \"(55...678\" and 1 more";
        lint_findings_init(&f);
        lint_private(p, scratch, &f, "", texts[i].text, strlen(texts[i].text));
        char *got = listed(&f);
        tap_is_str(texts[i].text, got, want);
        free(got);
        lint_findings_release(&f);
    }
    regex_scratch_free(scratch);
    lint_privacy_free(p);
}

static void test_chars(void)
{
    static const struct {
        const char *name, *text, *found;
    } texts[] = {
        {"good text", "\xc3\x84pfel, na\xc3\xafve \xe2\x80\x9cquotes\xe2\x80\x9d \xe4\xb8\xad\n\t",
         ""},
        {"a guillemet behind a capital", "\xc2\xab CAF\xc3\x89\xc2\xbb", ""},
        {"two bytes",
         "Fu\xc3\x83\xc5\xb8"
         "ball",
         "mojibake: UTF-8 that was read as Latin-1 or Windows-1252, 1 time (\"\xc3\x83\xc5\xb8\")"},
        {"three bytes", "it\xc3\xa2\xe2\x82\xac\xe2\x84\xa2s",
         "mojibake: UTF-8 that was read as Latin-1 or Windows-1252, 1 time (\"\xc3\xa2\xe2\x82\xac"
         "\xe2\x84\xa2\")"},
        {"what is lost", "x\xef\xbf\xbdy",
         "mojibake: 1 replacement character U+FFFD: what was there is lost"},
        {"controls",
         "a\x07"
         "b\xc2\x85 c\xe2\x80\x8b \xe2\x80\xae \xee\x80\x80",
         "control: 2 control characters (U+0007), 1 text direction character (U+202E), "
         "1 invisible character (U+200B), 1 private use character (U+E000)"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct lint_findings f;
        lint_findings_init(&f);
        lint_chars(&f, "", texts[i].text, strlen(texts[i].text));
        char *got = listed(&f);
        tap_is_str(texts[i].name, got, texts[i].found);
        free(got);
        lint_findings_release(&f);
    }
}

static void test_numbers(void)
{
    tap_ok(is_card_number("4111111111111111", 16) && is_card_number("378282246310005", 15) &&
               is_card_number("5555-5555-5555-4444", 19),
           "card numbers");
    tap_ok(!is_card_number("4111111111111112", 16) && !is_card_number("9111111111111111", 16) &&
               !is_card_number("", 0) && !is_card_number("41111111111111111111111111", 26),
           "numbers that are none");
    tap_ok(is_iban("GB82 WEST 1234 5698 7654 32", 27) && is_iban("NO9386011117947", 15),
           "account numbers");
    tap_ok(!is_iban("GB83 WEST 1234 5698 7654 32", 27) && !is_iban("", 0) &&
               !is_iban("GB82WEST123456987654321234567890123456", 38),
           "numbers that are none");
}

static void test_turns(void)
{
    static const struct {
        const char *messages, *found;
    } lists[] = {
        {"[{'role':'system','content':''},{'role':'user','content':''},"
         "{'role':'assistant','content':''}]",
         ""},
        {"[{'from':'human','value':''},{'from':'gpt','value':''}]", ""},
        {"[{'role':'user'},{'role':'user'},{'role':'assistant'}]",
         "roles: the user again: nothing answers the turn before"},
        {"[{'role':'user'},{'role':'assistant'},{'role':'system'},{'role':'user'},"
         "{'role':'assistant'}]",
         "roles: a system message behind others: it belongs first"},
        {"[{'role':'assistant'}]", "roles: the assistant, but no user has asked"},
        {"[{'role':'user'}]", "unanswered: the last turn is the user's: nothing answers it"},
        {"[{'role':'user'},{'role':'assistant','tool_calls':[{'function':{'name':'f'}}]},"
         "{'role':'tool'},{'role':'assistant'}]",
         ""},
        {"[{'role':'user'},{'role':'assistant','tool_calls':[{'function':{'name':'f'}}]}]", ""},
        {"[{'role':'user'},{'role':'assistant','tool_calls':[{'function':{'name':'f'}},"
         "{'function':{'name':'g'}}]},{'role':'tool'},{'role':'assistant'}]",
         "tools: calls 2 tools, but 1 answer follows"},
        {"[{'role':'user'},{'role':'assistant','content':'<tool_call>x'}]",
         "tools: 1 <tool_call> but 0 </tool_call>"},
        {"[7, null, {'role':7}, {}]", ""},
        {"{}", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        struct lint_findings f;
        json_t *object = json_object();
        struct buf text = BUF_INIT;
        buf_addstr(&text, lists[i].messages);
        for (size_t k = 0; k < text.len; k++)
            if (text.p[k] == '\'')
                text.p[k] = '"';
        json_object_set_new(object, "messages", json_loads(text.p, 0, NULL));
        lint_findings_init(&f);
        lint_turns(&f, object);
        char *got = listed(&f);
        tap_is_str(lists[i].messages, got, lists[i].found);
        free(got);
        buf_release(&text);
        lint_findings_release(&f);
        json_decref(object);
    }
}

/* ---- the summary ---- */

static void test_summary(void)
{
    struct lint_summary s = {.readable = 30};
    uint32_t bounds[LINT_HISTOGRAM + 1];
    uint64_t counts[LINT_HISTOGRAM], all = 0;
    const struct tally_entry *top[2];
    static const uint32_t lengths[] = {5, 300, 17, 0, 16, UINT32_MAX};
    s.lengths = xmalloc(sizeof lengths);
    memcpy(s.lengths, lengths, sizeof lengths);
    s.n_lengths = ARRAY_SIZE(lengths);
    lint_summary_finish(&s);
    size_t n = lint_summary_histogram(&s, bounds, counts);
    for (size_t i = 0; i < n; i++)
        all += counts[i];
    tap_is_u64("every length is in the histogram", all, ARRAY_SIZE(lengths));
    tap_is_u64("the median", lint_summary_length(&s, 50), 16);
    for (int i = 0; i < 30; i++)
        tally_add(&s.answers, i < 28 ? "yes" : "no\n", 3);
    tap_ok(tally_top(&s.answers, top, 2) == 2 && top[0]->n == 28 && !strcmp(top[1]->text, "no "),
           "the most frequent answers");
    struct buf advice = BUF_INIT;
    lint_summary_advice(&s, &advice);
    tap_ok(lint_summary_has_labels(&s) && strstr(advice.p, "\"yes\" is 14 times as frequent"),
           "labels out of balance");
    buf_release(&advice);
    lint_summary_release(&s);
}

int main(void)
{
    word_table_init(&words);
    test_words();
    test_language();
    test_shingles();
    test_minhash(20);
    test_minhash(200);
    test_minhash(2000);
    test_bands();
    test_frames();
    test_heldout();
    test_index();
    test_private();
    test_chars();
    test_numbers();
    test_turns();
    test_summary();
    word_table_release(&words);
    return tap_done();
}
