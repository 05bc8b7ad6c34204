#include "base/shell_completion.h"

#include <string.h>

#include "base/mem.h"

enum value_class { NO_VALUE, WORDS, WORD_LIST, FILES, FOLDERS, MODELS, ANYTHING };

/* Options that no table has. */
static const struct option_spec standard[] = {
    {OPT_FLAG, 0, "help", NULL, NULL, "display this help and exit", NULL, 0, 0},
    {OPT_FLAG, 0, "version", NULL, NULL, "output version information and exit", NULL, 0, 0},
};

static enum value_class class_of_metavariable(const char *arg)
{
    static const struct {
        const char *name;
        enum value_class class;
    } known[] = {
        {"FILE", FILES},   {"PATH", FILES},  {"OUT", FILES},      {"FOLDER", FOLDERS},
        {"MODEL", MODELS}, {"GGUF", MODELS}, {"ADAPTER", MODELS},
    };
    const size_t len = arg ? strspn(arg, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") : 0;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (len == strlen(known[i].name) && !strncmp(arg, known[i].name, len))
            return known[i].class;
    return ANYTHING;
}

static enum value_class class_of(const struct option_spec *o)
{
    if (o->kind == OPT_FLAG || o->kind == OPT_NOFLAG)
        return NO_VALUE;
    if (o->choices)
        return o->kind == OPT_LIST ? WORD_LIST : WORDS;
    return class_of_metavariable(o->arg);
}

static bool takes_files(const struct program *p)
{
    return strstr(p->synopsis, "[FILE") || strstr(p->synopsis, "[PATH");
}

static void for_each_option(struct buf *out, const struct program *p,
                            void (*add)(struct buf *, const struct program *,
                                        const struct option_spec *))
{
    for (size_t i = 0; i < p->n_options; i++)
        if (p->options[i].kind != OPT_HEADING)
            add(out, p, &p->options[i]);
    for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
        add(out, p, &standard[i]);
}

static void add_words(struct buf *out, const struct option_spec *o)
{
    for (size_t i = 0; o->choices[i]; i++)
        buf_addf(out, "%s%s", i ? " " : "", o->choices[i]);
}

/* Text inside single quotes: a backslash before each of `special`, and `quote` for a quote. */
static void add_text(struct buf *out, const char *text, const char *special, const char *quote)
{
    for (; *text; text++) {
        if (*text == '\'') {
            buf_addstr(out, quote);
            continue;
        }
        if (strchr(special, *text))
            buf_addch(out, '\\');
        buf_addch(out, *text);
    }
}

/* The name as part of a function's. */
static void add_identifier(struct buf *out, const char *name)
{
    for (; *name; name++)
        buf_addch(out, *name == '-' ? '_' : *name);
}

/* ---- bash ---- */

static void add_bash_case(struct buf *out, const struct program *p, const struct option_spec *o)
{
    static const char *const words_of[] = {
        [FILES] = "__ft_files -f",
        [FOLDERS] = "__ft_files -d",
        [MODELS] = "__ft_models",
    };
    const enum value_class class = class_of(o);
    (void)p;
    if (class == NO_VALUE)
        return;
    buf_addstr(out, "    ");
    if (o->letter)
        buf_addf(out, "-%c | ", o->letter);
    buf_addf(out, "--%s) ", o->name);
    if (class == WORDS || class == WORD_LIST) {
        buf_addstr(out, class == WORDS ? "__ft_words '" : "__ft_list '");
        add_words(out, o);
        buf_addstr(out, "'; ");
    } else if (class != ANYTHING) {
        buf_addf(out, "%s; ", words_of[class]);
    }
    buf_addstr(out, "return ;;\n");
}

static void add_bash_name(struct buf *out, const struct program *p, const struct option_spec *o)
{
    (void)p;
    buf_addf(out, " --%s%s", o->name, class_of(o) == NO_VALUE ? "" : "=");
}

/* Words are cut at '=' too (COMP_WORDBREAKS), so a value's option is one or two words before it. */
static void add_bash(struct buf *out, const struct program *p)
{
    buf_addf(out, "# bash completion for %s\n\n_", p->name);
    add_identifier(out, p->name);
    buf_addstr(out,
               "()\n"
               "{\n"
               "    local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} i\n"
               "    __ft_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$word\"); }\n"
               "    __ft_list() { mapfile -t COMPREPLY < <(compgen -P \"${word%\"${word##*,}\"}\" "
               "-W \"$1\" -- "
               "\"${word##*,}\"); }\n"
               "    __ft_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < "
               "<(compgen \"$@\" "
               "-- \"$word\"); }\n"
               "    __ft_models() { __ft_files -f -X '!*.gguf'; mapfile -O ${#COMPREPLY[@]} -t "
               "COMPREPLY < "
               "<(compgen -d -- \"$word\"); }\n"
               "    COMPREPLY=()\n"
               "    if [[ $word == = ]]; then\n"
               "        word=\n"
               "    elif [[ $option == = ]]; then\n"
               "        option=${COMP_WORDS[COMP_CWORD - 2]}\n"
               "    fi\n"
               "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
               "        [[ ${COMP_WORDS[i]} != -- ]] || option=--\n"
               "    done\n"
               "    case $option in\n");
    for_each_option(out, p, add_bash_case);
    buf_addstr(out, "    esac\n"
                    "    if [[ $word == -* && $option != -- ]]; then\n"
                    "        __ft_words '");
    const size_t start = out->len;
    for_each_option(out, p, add_bash_name);
    memmove(out->p + start, out->p + start + 1, out->len - start); /* the first one's space */
    out->len--;
    buf_addstr(out, "'\n"
                    "        [[ ${COMPREPLY-} != *= ]] || compopt -o nospace 2>/dev/null\n"
                    "        return\n"
                    "    fi\n");
    if (takes_files(p))
        buf_addstr(out, "    __ft_files -f\n");
    buf_addstr(out, "} && complete -F _");
    add_identifier(out, p->name);
    buf_addf(out, " %s\n", p->name);
}

/* ---- zsh ---- */

static void add_zsh_option(struct buf *out, const struct program *p, const struct option_spec *o)
{
    static const char *const action_of[] = {
        [FILES] = "_files",
        [FOLDERS] = "_files -/",
        [MODELS] = "_files -g \"*.gguf(-.)\"",
        [ANYTHING] = " ",
    };
    const enum value_class class = class_of(o);
    const char *equals = class == NO_VALUE ? "" : "=", *plus = class == NO_VALUE ? "" : "+";
    (void)p;
    buf_addstr(out, " \\\n    '");
    if (o->kind == OPT_LIST)
        buf_addch(out, '*');
    else if (o->letter)
        buf_addf(out, "(-%c --%s)", o->letter, o->name);
    if (o->letter)
        buf_addf(out, "'{-%c%s,--%s%s}'", o->letter, plus, o->name, equals);
    else
        buf_addf(out, "--%s%s", o->name, equals);
    buf_addch(out, '[');
    add_text(out, o->help, "[]\\", "'\\''");
    buf_addch(out, ']');
    if (class != NO_VALUE) {
        buf_addch(out, ':');
        add_text(out, o->arg ? o->arg : o->name, ":\\", "'\\''");
        buf_addch(out, ':');
    }
    if (class == WORDS || class == WORD_LIST) {
        buf_addstr(out, class == WORDS ? "(" : "_sequence compadd - ");
        add_words(out, o);
        buf_addstr(out, class == WORDS ? ")" : "");
    } else if (class != NO_VALUE) {
        buf_addstr(out, action_of[class]);
    }
    buf_addch(out, '\'');
}

static void add_zsh(struct buf *out, const struct program *p)
{
    buf_addf(out, "#compdef %s\n\n_arguments -s -S", p->name);
    for_each_option(out, p, add_zsh_option);
    if (takes_files(p))
        buf_addstr(out, " \\\n    '*:FILE:_files'");
    buf_addch(out, '\n');
}

/* ---- fish ---- */

static void add_fish_option(struct buf *out, const struct program *p, const struct option_spec *o)
{
    static const char *const values_of[] = {
        [NO_VALUE] = "",
        [FILES] = " -r -F",
        [FOLDERS] = " -x -a '(__fish_complete_directories)'",
        [MODELS] = " -x -k -a '(__fish_complete_suffix .gguf)'",
        [ANYTHING] = " -x",
    };
    const enum value_class class = class_of(o);
    buf_addf(out, "complete -c %s", p->name);
    if (o->letter)
        buf_addf(out, " -s %c", o->letter);
    buf_addf(out, " -l %s", o->name);
    if (class == WORDS || class == WORD_LIST) {
        buf_addstr(out, class == WORDS ? " -x -a '" : " -x -a '(__fish_append , ");
        add_words(out, o);
        buf_addstr(out, class == WORDS ? "'" : ")'");
    } else {
        buf_addstr(out, values_of[class]);
    }
    buf_addstr(out, " -d '");
    add_text(out, o->help, "\\", "\\'");
    buf_addstr(out, "'\n");
}

static void add_fish(struct buf *out, const struct program *p)
{
    buf_addf(out, "# fish completion for %s\n\n", p->name);
    if (!takes_files(p))
        buf_addf(out, "complete -c %s -f\n", p->name);
    for_each_option(out, p, add_fish_option);
}

int shell_completion(struct buf *out, const struct program *program, const char *shell)
{
    static const struct {
        const char *name;
        void (*add)(struct buf *, const struct program *);
    } shells[] = {{"bash", add_bash}, {"zsh", add_zsh}, {"fish", add_fish}};
    for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
        if (!strcmp(shell, shells[i].name)) {
            shells[i].add(out, program);
            return 0;
        }
    return -1;
}
