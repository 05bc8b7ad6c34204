#include "text/language.h"

#include <string.h>

#include "base/mem.h"

/* In the order of the lists, then those that their script tells. */
enum {
    EN = 1,
    DE,
    FR,
    ES,
    IT,
    PT,
    NL,
    SV,
    DA,
    NB,
    FI,
    PL,
    CS,
    SK,
    HU,
    RO,
    TR,
    HR,
    ID,
    VI,
    CA,
    LAST_LATIN = CA,
    RU,
    UK,
    BG,
    SR,
    BE,
    LAST_CYRILLIC = BE,
    AR,
    FA,
    UR,
    LAST_LISTED = UR,
};

const char *const language_codes[] = {
    "und", "en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "fi", "pl",
    "cs",  "sk", "hu", "ro", "tr", "hr", "id", "vi", "ca", "ru", "uk", "bg", "sr",
    "be",  "ar", "fa", "ur", "el", "hy", "he", "hi", "bn", "pa", "gu", "ta", "te",
    "kn",  "ml", "si", "th", "lo", "my", "ka", "am", "km", "ja", "ko", "zh", NULL};

static const unsigned char language_of_script[N_SCRIPTS] = {
    [SCRIPT_GREEK] = LAST_LISTED + 1,      [SCRIPT_ARMENIAN] = LAST_LISTED + 2,
    [SCRIPT_HEBREW] = LAST_LISTED + 3,     [SCRIPT_DEVANAGARI] = LAST_LISTED + 4,
    [SCRIPT_BENGALI] = LAST_LISTED + 5,    [SCRIPT_GURMUKHI] = LAST_LISTED + 6,
    [SCRIPT_GUJARATI] = LAST_LISTED + 7,   [SCRIPT_TAMIL] = LAST_LISTED + 8,
    [SCRIPT_TELUGU] = LAST_LISTED + 9,     [SCRIPT_KANNADA] = LAST_LISTED + 10,
    [SCRIPT_MALAYALAM] = LAST_LISTED + 11, [SCRIPT_SINHALA] = LAST_LISTED + 12,
    [SCRIPT_THAI] = LAST_LISTED + 13,      [SCRIPT_LAO] = LAST_LISTED + 14,
    [SCRIPT_MYANMAR] = LAST_LISTED + 15,   [SCRIPT_GEORGIAN] = LAST_LISTED + 16,
    [SCRIPT_ETHIOPIC] = LAST_LISTED + 17,  [SCRIPT_KHMER] = LAST_LISTED + 18,
    [SCRIPT_KANA] = LAST_LISTED + 19,      [SCRIPT_HANGUL] = LAST_LISTED + 20,
    [SCRIPT_HAN] = LAST_LISTED + 21,
};

/* The commonest words that are not the same in too many languages. */
static const char *const lists[] = {
    [EN] = "the of and to in is that it for was with as are be this have from or had by but not "
           "what all were when we there can an your which their said if do will each about how "
           "up out them then she many some would other into has more its you they these than",
    [DE] = "der die das und ist nicht ein eine zu von mit den dem des im auf für sich auch es an "
           "als bei nach wie oder aber aus wird werden sind einen einer einem eines wenn noch nur "
           "kann durch über man hat haben war vor zum zur bis mehr dass ich sie wir ihr kein keine",
    [FR] =
        "le la les de des du et est un une dans pour que qui sur avec par au aux ce cette ces "
        "pas plus sont ou il elle nous vous se ne en son sa ses leur mais être comme tout d l qu "
        "ont été fait aussi peut sans entre deux même où après très",
    [ES] = "el la los las de del que y en un una es por con para no se su al lo como más pero sus "
           "le este esta ya o sí porque cuando muy sin sobre también me hasta hay donde desde todo "
           "nos ser son está puede entre fue tiene ha era",
    [IT] = "il lo la i gli le di del della dei delle dell e è che un una per con non si da in al "
           "alla nel nella sono come più anche ma o ed questo questa se suo sua dal dalla può ha "
           "essere tra sul sulla ai loro cui stato quando",
    [PT] = "o a os as de do da dos das que e em um uma para com não por se no na nos nas ao mais "
           "como mas foi ou ser seu sua são também já está pelo pela isso quando muito entre sem "
           "até depois tem este esta você pode",
    [NL] = "de het een en van in is dat op te zijn met voor niet aan er om ook als bij door naar "
           "uit over maar die dit wordt worden werd heeft kan nog of wel hij ze wij deze dan zo "
           "meer tot geen onder zich hun kunnen alle",
    [SV] = "och att det i en som är på för av med till den har inte om ett han men var jag från "
           "så kan man när år hon under också efter eller nu sin där vid mot ska skulle kommer "
           "detta dessa vara blir alla utan mycket",
    [DA] = "og at det i en som er på for af med til den har ikke om et han men var jeg fra så kan "
           "man når hun efter også eller nu sin der ved mod skal skulle kommer dette disse være "
           "bliver alle uden meget hvor hvad nogle sig denne giver bruges blev selv mellem",
    [NB] = "og at det i en som er på for av med til den har ikke om et han men var jeg fra så kan "
           "man når hun etter også eller nå sin der ved mot skal skulle kommer dette disse være "
           "blir alle uten mye hvor hva noen seg denne gir brukes ble selv mellom",
    [FI] = "ja on ei että se oli hän mutta ovat kun niin kuin myös tai joka jos vain sen ole mitä "
           "voi tämä olla hänen ne siitä mukaan jotka vielä sitten sekä jo kanssa ollut kaikki "
           "mikä jälkeen tämän sitä niitä en",
    [PL] =
        "i w na z się nie do to jest że o jak po za od przez co ale dla był był są tak już "
        "tylko być czy jego który która które oraz może lub przy ich tym tego go jej także bardzo "
        "gdy kiedy pod nad ze jako",
    [CS] = "a v se na je že s z do o i to jako za by pro ve jsou ale po který která které když "
           "od také jeho nebo byl byla bylo už jen při k tak až není může jsem ze mezi této být "
           "podle pouze více všech lze",
    [SK] = "a v sa na je že s z do o i to ako za by pre vo sú ale po ktorý ktorá ktoré keď od "
           "tiež jeho alebo bol bola bolo už len pri k tak až nie môže som zo medzi tejto byť "
           "podľa iba viac všetkých možno",
    [HU] = "a az és hogy nem is egy van meg ez de csak ha már vagy el volt mint még kell azt ami "
           "lehet minden én mert nagyon ki fel le be akkor úgy olyan amely között után szerint "
           "lesz ezt több nincs",
    [RO] = "și de în la cu a o pe nu un care din este că se pentru mai sunt ca o fi să ale sau "
           "dar au fost prin lui după fără între poate ei acest această când cel cea foarte ai "
           "dintre unui unei ce",
    [TR] = "ve bir bu da de için ile çok ne o daha olarak olan gibi kadar ama en var değil sonra "
           "her ki veya göre ise şey mi mı ancak tarafından bunu onun olduğu nasıl diye yok iki "
           "kendi olur üzerinde",
    [HR] = "i u je se na da za od su s kao koji koja koje nije ne ili to iz što bi ali po o do "
           "biti bio bila bilo kada može samo te prema nego više sve ima kod nakon između zbog "
           "njegova također",
    [ID] = "yang dan di ini itu dengan untuk dari tidak dalam akan pada adalah juga ke karena "
           "atau oleh saya bisa ada mereka kami kita anda lebih telah sudah seperti hanya dapat "
           "tersebut orang menjadi secara saat bahwa",
    [VI] = "và của là có được cho một trong không các với những người khi đã này để đến từ cũng "
           "như về ra tôi bạn vào thì nhiều sẽ phải hay hoặc nếu rất trên mà lại theo đó",
    [CA] = "el la els les de del dels que i en un una és per amb no se al als més com però seu "
           "seva ha aquest aquesta també són o quan molt sense sobre fins entre pot ser hi va "
           "està tot l d on des",
    [RU] = "и в не на что с по как это но из он к у за от для так же о бы его то все было был "
           "или мы вы они она если есть при может еще только уже когда который которые до",
    [UK] = "і в не на що з та як це але із він до у за від для так же про його то все було був "
           "або ми ви вони вона якщо є при може ще тільки вже коли який які й бути",
    [BG] = "и в не на че с за се да от е по как това но като той са към при или ще си до има "
           "може тя те ние вие ако само вече кога който която които със във много след",
    [SR] = "и у је се на да за од су с као који која које није не или то из што би али по о до "
           "бити био била било када може само те према него више све има код након",
    [BE] = "і ў не на што з па як гэта але ён да у за ад для так жа пра яго то усё было быў або "
           "мы вы яны яна калі ёсць пры можа яшчэ толькі ужо які якія",
    [AR] = "في من على أن إلى هذا هذه التي الذي لا ما عن مع كان كانت هو هي أو ذلك بين كل لم قد "
           "بعد عند حتى إذا ثم أي غير لكن وقد يكون",
    [FA] = "و در به از که این است را با برای آن یک خود تا بر هم نیز می شود شده کند ها یا اما "
           "هر بود باید دارد کرد من ما شما اگر",
    [UR] = "کے کی میں ہے اور سے کا کو یہ نے پر کہ اس ہیں بھی تو نہیں کر ایک وہ جو ہو تھا گیا "
           "کیا لیے ان اپنے ساتھ",
};

/* Letters that only some languages have. */
static const struct {
    const char *letters;
    uint32_t languages;
} letter_lists[] = {
    {"ß", 1u << DE},
    {"äöü", 1u << DE},
    {"ñ¿¡", 1u << ES},
    {"ãõ", 1u << PT},
    {"êèàçùœ", 1u << FR},
    {"àèìò", 1u << IT},
    {"å", 1u << SV | 1u << DA | 1u << NB},
    {"äö", 1u << SV | 1u << FI},
    {"øæ", 1u << DA | 1u << NB},
    {"łąęśżźćń", 1u << PL},
    {"řěů", 1u << CS},
    {"ľĺŕô", 1u << SK},
    {"čšžýáíé", 1u << CS | 1u << SK},
    {"čćšžđ", 1u << HR},
    {"őűáéíóöúü", 1u << HU},
    {"șțăşţ", 1u << RO},
    {"ğışİ", 1u << TR},
    {"ơưđạảấầậắằẵặẹẻẽếềểễệịọỏốồổộớờởợụủứừửữựỳỵỷỹ", 1u << VI},
    {"ыэё", 1u << RU | 1u << BE},
    {"їєґ", 1u << UK},
    {"і", 1u << UK | 1u << BE},
    {"ў", 1u << BE},
    {"ъщ", 1u << BG},
    {"јљњђћџ", 1u << SR},
    {"پچگژ", 1u << FA | 1u << UR},
    {"ٹڈڑےںہھ", 1u << UR},
    {"ةىأإ", 1u << AR},
};

enum {
    WHOLE = 24,     /* a word of one language; shared among those that have it */
    LETTER = 4,     /* a letter of one language */
    MIN_HITS = 3,   /* words on the list */
    MIN_SHARE = 12, /* a word in so many has to be on the list */
};

unsigned language_of_code(const char *code, size_t len)
{
    for (unsigned i = 1; language_codes[i]; i++)
        if (strlen(language_codes[i]) == len && !memcmp(language_codes[i], code, len))
            return i;
    return LANGUAGE_UNKNOWN;
}

static size_t find(const struct language_table *t, uint64_t hash)
{
    size_t i = hash % ARRAY_SIZE(t->slots);
    while (t->slots[i].hash && t->slots[i].hash != hash)
        i = (i + 1) % ARRAY_SIZE(t->slots);
    return i;
}

/* Where a letter's languages stand; NULL for one that tells nothing. */
static const uint32_t *letter_at(const struct language_table *t, uint32_t c)
{
    if (c >= 0x1e00 && c < 0x1f00)
        return &t->letters[0x700 + (c - 0x1e00)];
    return c >= 0x80 && c < 0x700 ? &t->letters[c] : NULL;
}

static void add_letters(struct language_table *t)
{
    for (size_t i = 0; i < ARRAY_SIZE(letter_lists); i++)
        for (const unsigned char *p = (const unsigned char *)letter_lists[i].letters; *p;) {
            unsigned len;
            const uint32_t *at = letter_at(t, utf8_char(p, &len));
            t->letters[at - t->letters] |= letter_lists[i].languages;
            p += len;
        }
}

void language_table_init(struct language_table *t, const struct word_table *words)
{
    memset(t, 0, sizeof *t);
    add_letters(t);
    for (unsigned l = 1; l < ARRAY_SIZE(lists); l++) {
        struct word_cursor c;
        struct word w;
        word_start(&c, words, lists[l], strlen(lists[l]));
        while (word_next(&c, &w)) {
            size_t i = find(t, w.hash);
            t->slots[i].hash = w.hash;
            t->slots[i].languages |= 1u << l;
        }
    }
}

static void score(struct language_counts *c, uint32_t languages, unsigned whole)
{
    unsigned share = whole / (unsigned)__builtin_popcount(languages);
    for (uint32_t left = languages; left; left &= left - 1)
        c->scores[__builtin_ctz(left)] += share;
}

static void count_letters(struct language_counts *c, const struct language_table *t,
                          const struct word *w)
{
    unsigned len;
    for (size_t i = 0; i < w->bytes; i += len) {
        const uint32_t *languages = letter_at(t, utf8_char(w->p + i, &len));
        if (languages && *languages)
            score(c, *languages, LETTER);
    }
}

void language_count(struct language_counts *c, const struct language_table *t, const struct word *w)
{
    c->letters[w->script] += w->letters;
    if (w->script != SCRIPT_LATIN && w->script != SCRIPT_CYRILLIC && w->script != SCRIPT_ARABIC)
        return;
    c->words++;
    if (w->bytes > w->letters)
        count_letters(c, t, w);
    uint32_t languages = t->slots[find(t, w->hash)].languages;
    if (!languages)
        return;
    score(c, languages, WHOLE);
    for (uint32_t left = languages; left; left &= left - 1)
        c->hits[__builtin_ctz(left)]++;
}

static unsigned best_listed(const struct language_counts *c, unsigned first, unsigned last)
{
    unsigned best = first;
    uint32_t second = 0;
    for (unsigned l = first + 1; l <= last; l++) {
        if (c->scores[l] > c->scores[best]) {
            second = c->scores[best];
            best = l;
        } else if (c->scores[l] > second) {
            second = c->scores[l];
        }
    }
    bool enough = c->hits[best] >= MIN_HITS && c->hits[best] * MIN_SHARE >= c->words;
    bool clear = (uint64_t)c->scores[best] * 20 >= (uint64_t)second * 21;
    return enough && clear ? best : LANGUAGE_UNKNOWN;
}

/* A character of these scripts says as much as a few letters: names in Latin letters among them
 * don't make a text Latin. */
static uint64_t weight(const struct language_counts *c, enum script s)
{
    bool dense = s == SCRIPT_HAN || s == SCRIPT_KANA || s == SCRIPT_HANGUL;
    return c->letters[s] * (dense ? 3 : 1);
}

unsigned language_guess(const struct language_counts *c)
{
    enum script most = SCRIPT_LATIN;
    uint64_t han = c->letters[SCRIPT_HAN], kana = c->letters[SCRIPT_KANA];
    for (enum script s = SCRIPT_LATIN; s < N_SCRIPTS; s++)
        if (weight(c, s) > weight(c, most))
            most = s;
    if (most == SCRIPT_HAN && kana * 20 >= han + kana)
        most = SCRIPT_KANA; /* Japanese has kana in every sentence */
    if (most == SCRIPT_LATIN)
        return best_listed(c, EN, LAST_LATIN);
    if (most == SCRIPT_CYRILLIC)
        return best_listed(c, RU, LAST_CYRILLIC);
    if (most == SCRIPT_ARABIC)
        return best_listed(c, AR, LAST_LISTED);
    return c->letters[most] >= 4 ? language_of_script[most] : LANGUAGE_UNKNOWN;
}
