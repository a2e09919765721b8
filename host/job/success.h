// SPDX-License-Identifier: Apache-2.0
//
// _SUCCESS, which tells whoever waits for a directory of labels that all of them are there and
// whole: a JSON object of what they are. It goes before an output of its directory changes, so it
// never tells of what is not there.
#ifndef WADER_HOST_JOB_SUCCESS_H
#define WADER_HOST_JOB_SUCCESS_H

#include "host/job/verify_set.h"

#define SUCCESS_NAME "_SUCCESS"

// Removes the _SUCCESS of the directory that `output` lies in, if it is one of wader's: other
// programs' files of that name are not ours to remove. *removed tells, unless NULL. STATUS_IO where
// it cannot be.
enum status success_withdraw(const char *output, bool *removed, struct error *error);

// STATUS_USAGE where `directory` has a _SUCCESS that is not wader's.
enum status success_check(const char *directory, struct error *error);

// Writes it for outputs that all are good, durably, under its name in one rename.
enum status success_write(const char *directory, struct verify_set *set, struct error *error);

#endif
