// SPDX-License-Identifier: Apache-2.0
//
// A directory that a test may fill and that is gone afterwards. A step that fails ends the test
// program with a message.
#ifndef WADER_TESTS_SUPPORT_TEMP_DIR_H
#define WADER_TESTS_SUPPORT_TEMP_DIR_H

#include <stddef.h>

enum { TEMP_PATH_MAX = 512 };

// A fresh directory under TMPDIR or /tmp; and away with it and the files in it.
void temp_dir_make(char dir[TEMP_PATH_MAX]);
void temp_dir_remove(const char *dir);

// Writes the file dir/name.
void temp_dir_write(const char *dir, const char *name, const void *bytes, size_t nbytes);
void temp_dir_write_text(const char *dir, const char *name, const char *text);

#endif
