# SPDX-License-Identifier: Apache-2.0
#
# cmake -DSOURCE=DIR -DOUT=FILE -DCOMMIT=NAME -P commit.cmake
# Writes a header that names the commit that is built, "-dirty" behind it where the sources were
# changed since; "unknown" where there is no git or no repository. NAME, where given, is taken as it
# is. The file is only touched when it changes.
set(commit "${COMMIT}")
if(commit STREQUAL "")
  execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=40 --exclude=*
                  OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE
                  RESULT_VARIABLE result)
  if(NOT result EQUAL 0 OR NOT commit MATCHES "^[0-9a-f]+(-dirty)?$")
    set(commit unknown)
  endif()
endif()
set(text "#define WADER_COMMIT \"${commit}\"\n")
set(before "")
if(EXISTS ${OUT})
  file(READ ${OUT} before)
endif()
if(NOT text STREQUAL before)
  file(WRITE ${OUT} "${text}")
endif()
