// SPDX-License-Identifier: Apache-2.0
//
// How much of a damaged gzip file can still be relied on. The file is inflated once to find out,
// before its first record is read.
//
// What a member of the file holds was checked by its CRC only at its end. So
//   - where the file ends too early, or other bytes follow, all that came before is kept. The bytes
//     of a member that was cut were never checked: records with such bytes are counted apart;
//   - where a member is corrupt, the fault lies anywhere in it, and what comes out of it behind the
//     fault may look like records: only what stands in the members before it is kept.
// In both cases the records that are kept are complete: what follows the last end of line is not.
#ifndef WADER_HOST_STREAM_SALVAGE_H
#define WADER_HOST_STREAM_SALVAGE_H

#include "host/base/base.h"
#include "host/stream/input.h"

struct salvage {
    bool damaged;            // the rest is zeros where not
    uint64_t compressed_at;  // where the damage was seen
    uint64_t plain_nbytes;   // to keep: up to and with the end of line of the last record kept
    uint64_t records;        // lines in them
    uint64_t unchecked;      // those of them with bytes that no CRC vouches for
    char reason[1024];       // why the file is refused elsewhere, without its name
};

// Reads `path` to its end or to its damage. STATUS_INPUT where it is damaged and no record can be
// kept, with the message that tells the damage, or is none that can be salvaged; STATUS_USAGE where
// it is no regular file, which cannot be read twice; STATUS_AGAIN when `stop`, unless NULL, said
// so.
enum status salvage_survey(const char *path, enum trailing trailing, bool (*stop)(void),
                           struct salvage *salvage, struct error *error);

#endif
