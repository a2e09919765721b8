// SPDX-License-Identifier: Apache-2.0
//
// The manual page and the completions of shells, made of the tables of host/cli/options_table.h
// when wader is built. Nothing here is part of wader itself.
#ifndef WADER_HOST_MANUAL_MANUAL_H
#define WADER_HOST_MANUAL_MANUAL_H

#include <stdio.h>

#include "host/cli/options_table.h"

// wader.1, in mdoc(7); and the completions of bash, zsh and fish. Errors of writing are left to the
// caller, who looks at the file.
void manual_page(FILE *file);
void manual_bash(FILE *file);
void manual_zsh(FILE *file);
void manual_fish(FILE *file);

// What a value is, for a shell that completes it: by what --help calls it.
enum value_kind { VALUE_NONE, VALUE_DIRECTORY, VALUE_FILE, VALUE_WORDS, VALUE_OTHER };
enum value_kind value_kind_of(const struct option *option);

// Whether `command` completes the option: those that it only leaves aside are not offered.
bool command_takes(enum command command, const struct option *option);

// The first line of an option's help, without the dot or comma it may end in.
struct span first_line_of(const char *help);

// Writes the bytes of `text` but those in `escaped`, which get `with` before them.
void put_escaped(FILE *file, struct span text, const char *escaped, const char *with);

#endif
