// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/unicode_class.h"

#include "tokenizer/unicode_tables.inc"
