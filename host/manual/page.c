// SPDX-License-Identifier: Apache-2.0
//
// wader.1 in mdoc(7). A line of text must not begin with a dot or quote, and a backslash is written
// as \e; hyphens of options are written \- by the macro Fl itself.
#include <string.h>

#include "host/manual/manual.h"

enum { WIDTH = 72, LINE_NBYTES = 512 };  // hyphens take two bytes each

static void put_text(FILE *file, const char *text) {
    bool begins = true;
    for (const char *at = text; *at != '\0'; at++) {
        if (begins && (*at == '.' || *at == '\'')) fputs("\\&", file);
        begins = *at == '\n';
        if (*at == '\\') {
            fputs("\\e", file);
        } else if (*at == '-') {
            fputs("\\-", file);
        } else if (*at != ' ' || !begins) {
            fputc(*at, file);
        }
    }
    fputc('\n', file);
}

static const char space[] = " \n";

// Words filled into lines; a sentence ends its line, as mdoc wants it.
static void put_sentences(FILE *file, const char *text) {
    char line[LINE_NBYTES] = "";
    size_t n = 0;
    for (const char *at = text + strspn(text, space); *at != '\0'; at += strspn(at, space)) {
        const size_t len = strcspn(at, space);
        const bool ended = n > 0 && line[n - 1] == '.';
        if (n > 0 && (ended || n + 1 + len > WIDTH)) {
            put_text(file, line);
            n = 0;
        }
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%.*s", n > 0 ? " " : "", (int)len, at);
        if (n >= sizeof line) n = sizeof line - 1;
        at += len;
    }
    if (n > 0 && line[n - 1] != '.' && n + 1 < sizeof line) {
        memcpy(line + n, ".", 2);
    }
    if (n > 0) put_text(file, line);
}

static void put_usage(FILE *file, const struct command_entry *entry) {
    const char *rest = entry->usage;  // "wader label --model DIR ..."
    fputs(".Nm wader\n", file);
    while (*rest != '\0' && *rest != ' ') rest++;
    fputs(".Li ", file);
    fputc('"', file);
    put_escaped(file, span_text(rest + strspn(rest, " ")), "", "");
    fputs("\"\n", file);
}

static void put_commands_of(FILE *file, const struct option *option) {
    bool first = true, all = true;
    for (size_t i = COMMAND_LABEL; i < COMMAND_HELP; i++) {
        if (!command_takes((enum command)i, option)) all = false;
    }
    if (all) {
        fputs(".Pq every command\n", file);
        return;
    }
    fputs(".Pq ", file);
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        if (!command_takes((enum command)i, option)) continue;
        fprintf(file, "%s%s", first ? "" : ", ", command_table[i].name);
        first = false;
    }
    fputs("\n", file);
}

static void put_option(FILE *file, const struct option *option) {
    fputs(".It ", file);
    if (option->letter != 0) fprintf(file, "Fl %c , ", option->letter);
    fprintf(file, "Fl \\-%s", option->name);
    if (option->value != NULL) {
        fputs(" Ar ", file);
        put_escaped(file, span_text(option->value), "|", "");
    }
    fputc('\n', file);
    put_sentences(file, option->help);
    if (option->words != NULL) {
        fputs("One of:\n", file);
        for (const char *at = option->words; at != NULL;) {
            const char *bar = strchr(at, '|');
            const int len = bar != NULL ? (int)(bar - at) : (int)strlen(at);
            fprintf(file, ".Cm %.*s%s\n", len, at, bar != NULL ? " ," : " .");
            at = bar != NULL ? bar + 1 : NULL;
        }
    }
    put_commands_of(file, option);
}

static const char configuration[] =
    ".Sh CONFIGURATION FILE\n"
    "The file that\n.Fl \\-config\nnames has one option a line, as\n.Ql name = value ,\n"
    "by the long names above.\n"
    "Blank lines and lines that begin with # say nothing.\n"
    "What stands before the first section holds for every command that has the\noption;\n"
    "what stands below a command in brackets holds for it alone, and counts\n"
    "for more.\n"
    "Options without a value take 1 or 0.\n"
    "Whatever is not known, or comes twice, is refused with file and line.\n"
    "No file is read that was not named.\n"
    ".Bd -literal -offset indent\n"
    "model = /srv/models/titles\n"
    "threads = 8\n"
    "\n"
    "[label]\n"
    "passthrough = channel,published\n"
    "log-format = json\n"
    ".Ed\n";

static const char environment[] =
    ".Sh ENVIRONMENT\n"
    "Each option can also be given as a variable: its long name in capitals, with\n"
    ".Ev WADER_\nbefore it and _ for each hyphen, as\n.Ev WADER_BATCH_TOKENS .\n"
    "An empty variable is none.\n"
    "Flags win over the environment, which wins over the configuration file.\n"
    ".Bl -tag -width Ds\n"
    ".It Ev WADER_SHARDS\n"
    "the number of shares, with\n.Fl \\-shard Cm auto\n"
    "where the engine tells only which one it is.\n"
    ".It Ev CUDA_HOME , CUDA_PATH\n"
    "where cuBLAS is looked for, besides the loader's own places.\n"
    ".It Ev XDG_CACHE_HOME\n"
    "where the choice of algorithms for a GPU is kept\n.Pq ~/.cache .\n"
    ".El\n";

static const char files[] =
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa OUT.meta.json\n"
    "the commit record of an output: rows, settings, hashes of input, output,\n"
    "model and tokenizer.\n"
    ".It Pa OUT.rejects.jsonl.gz\n"
    "the records that\n.Fl \\-on-bad Cm reject\nput aside.\n"
    ".It Pa .OUT.journal\n"
    "how far a run came that was stopped; the same command goes on from there.\n"
    ".It Pa DIR/_SUCCESS\n"
    "what\n.Cm merge\nwrites when a whole catalog is done and intact.\n"
    ".El\n";

static const char examples[] =
    ".Sh EXAMPLES\n"
    "One catalog to one file:\n"
    ".Dl wader label --model DIR -o labels.jsonl.gz catalog.jsonl.gz\n"
    "As a filter:\n"
    ".Dl zcat titles.gz | wader label --model DIR > labels.jsonl\n"
    "A share of many files, as a task of a Slurm array:\n"
    ".Dl wader label --model DIR -o OUT --shard auto 'catalog/*.jsonl.gz'\n";

void manual_page(FILE *file) {
    fputs(
        ".\\\" SPDX-License-Identifier: Apache-2.0\n"
        ".\\\" Made by wader_manual of host/cli/options_table.c.\n"
        ".Dd December 1, 2026\n.Dt WADER 1\n.Os\n.Sh NAME\n.Nm wader\n"
        ".Nd label catalogs of titles with a BERT classifier\n.Sh SYNOPSIS\n",
        file);
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) put_usage(file, &command_table[i]);
    fputs(
        ".Nm wader\n.Li --version\n.Sh DESCRIPTION\n.Nm\n"
        "labels a whole catalog of content titles, plain or gzipped, with a BERT\n"
        "classifier: one row for each record, in order, in bounded memory.\n"
        "Rows go to stdout or to files, everything else to stderr.\n.Pp\nThe commands are:\n"
        ".Bl -tag -width Ds\n",
        file);
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        fprintf(file, ".It Cm %s\n", command_table[i].name);
        put_sentences(file, command_table[i].summary);
    }
    fputs(
        ".El\n.Sh OPTIONS\nWhich commands take an option is told behind it.\n"
        ".Bl -tag -width Ds\n",
        file);
    for (size_t i = 0; option_table[i].name != NULL; i++) put_option(file, &option_table[i]);
    fputs(".El\n", file);
    fputs(configuration, file);
    fputs(environment, file);
    fputs(files, file);
    fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds\n", file);
    for (const struct exit_entry *entry = exit_table; entry->meaning != NULL; entry++) {
        fprintf(file, ".It %d\n", entry->code);
        put_sentences(file, entry->meaning);
    }
    fputs(".El\n", file);
    fputs(examples, file);
}
