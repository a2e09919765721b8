// SPDX-License-Identifier: Apache-2.0
#include "tests/support/temp_dir.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/base.h"

static void stop(const char *what) {
    perror(what);
    exit(1);
}

void temp_dir_write(const char *dir, const char *name, const void *bytes, size_t nbytes) {
    char path[TEMP_PATH_MAX];
    if (path_join(path, sizeof path, dir, name, NULL) != STATUS_OK) stop(name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, nbytes, file) != nbytes || fclose(file) != 0) stop(path);
}

void temp_dir_write_text(const char *dir, const char *name, const char *text) {
    temp_dir_write(dir, name, text, strlen(text));
}

void temp_dir_make(char dir[TEMP_PATH_MAX]) {
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, TEMP_PATH_MAX, "%s/wader-test-XXXXXX", tmp != NULL && *tmp ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL) stop(dir);
}

void temp_dir_remove(const char *dir) {
    DIR *open_dir = opendir(dir);
    if (open_dir == NULL) stop(dir);
    for (struct dirent *entry; (entry = readdir(open_dir)) != NULL;) {
        char path[TEMP_PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (path_join(path, sizeof path, dir, entry->d_name, NULL) != STATUS_OK) stop(dir);
        if (unlink(path) != 0 && rmdir(path) != 0) stop(path);
    }
    closedir(open_dir);
    if (rmdir(dir) != 0) stop(dir);
}
