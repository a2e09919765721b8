# SPDX-License-Identifier: Apache-2.0
#
# A Debian package: `cpack -G DEB` in the build directory, on a host of the release that it is for,
# since what it depends on is what the program is linked with here. Its version is the project's.
find_program(GZIP_PROGRAM gzip)
find_program(SHLIBDEPS_PROGRAM dpkg-shlibdeps)
if(NOT GZIP_PROGRAM OR NOT SHLIBDEPS_PROGRAM)
  return()  # no Debian, or one without dpkg-dev
endif()
set(WADER_MAINTAINER "wader maintainers <maintainers@wader.example>"
    CACHE STRING "Who answers for the package, NAME <ADDRESS>")

# Under /usr, wherever a plain install goes.
set(DEBIAN ${CMAKE_BINARY_DIR}/package/debian)
set(DEBIAN_DOC share/doc/wader)
set(WADER_BIN /usr/${CMAKE_INSTALL_BINDIR})
set(WADER_NIGHTLY /usr/${WADER_LIBEXEC}/nightly)
configure_file(${PACKAGE}/wader-nightly@.service.in "${DEBIAN}/wader-nightly@.service" @ONLY)
install(FILES "${DEBIAN}/wader-nightly@.service" DESTINATION ${WADER_UNITS}
        COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${PACKAGE}/debian/copyright DESTINATION ${DEBIAN_DOC}
        COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${COMPLETIONS}/_wader DESTINATION share/zsh/vendor-completions
        COMPONENT debian EXCLUDE_FROM_ALL OPTIONAL)
# Packed when it is installed, since the man page is made after the configuring. -n: no time, no
# name, so that the same sources give the same package.
install(CODE "
  foreach(pair \"${PACKAGE}/debian/changelog|${DEBIAN_DOC}/changelog\"
               \"${CMAKE_BINARY_DIR}/doc/wader.1|share/man/man1/wader.1\")
    string(REPLACE \"|\" \";\" pair \"\${pair}\")
    list(GET pair 0 from)
    list(GET pair 1 to)
    if(EXISTS \"\${from}\")
      get_filename_component(directory \"\${to}\" DIRECTORY)
      get_filename_component(name \"\${to}\" NAME)
      execute_process(COMMAND \"${GZIP_PROGRAM}\" -9cn \"\${from}\" RESULT_VARIABLE failed
                      OUTPUT_FILE \"${DEBIAN}/\${name}.gz\")
      if(failed)
        message(FATAL_ERROR \"\${from}: gzip: \${failed}\")
      endif()
      file(INSTALL \"${DEBIAN}/\${name}.gz\"
           DESTINATION \"\${CMAKE_INSTALL_PREFIX}/\${directory}\")
    endif()
  endforeach()"
        COMPONENT debian EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME wader)
set(CPACK_PACKAGE_CONTACT "${WADER_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "labels whole catalogs of titles with a BERT classifier")
set(CPACK_PACKAGE_DESCRIPTION
"wader reads gzipped catalogs of titles and writes one label for each, in
order and in bounded memory, with any BERT or DistilBERT sequence classifier
in a Hugging Face checkpoint directory. Damaged input is refused by name, a
run that was stopped goes on where it was, and the same input gives the same
bytes for every batch size and number of threads.
.
It computes on CPUs; on NVIDIA GPUs where it was built with CUDA and a driver
for CUDA 13 and libcublasLt.so.13 are there, neither of which is part of
Debian. It brings a systemd timer for a nightly catalog, which is off until
it is set up, and scripts for Slurm, Spark, Kubernetes and GNU parallel.")
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
    GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL program debian)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PACKAGE}/debian/postinst ${PACKAGE}/debian/prerm
    ${PACKAGE}/debian/postrm)
include(CPack)
