# SPDX-License-Identifier: Apache-2.0
#
# What `cmake --install` puts where, and, by debian.cmake, what goes into a package. No headers and
# no libraries: the rooms are one program's, and nobody has promised that their functions stay.
#
#   component program   what both have: program, engines' scripts, README, examples, completions
#   component plain     a plain install alone: LICENSE, the man page, units for its prefix
#   component debian    a package alone (debian.cmake): what Debian wants in their place
#
# Man page and completions are made by the build (doc/, completions/ in its directory); a build
# without them installs all the rest.
include(GNUInstallDirs)
set(PACKAGE ${CMAKE_SOURCE_DIR}/host/package)
set(ENGINES ${CMAKE_SOURCE_DIR}/host/engines)
set(COMPLETIONS ${CMAKE_BINARY_DIR}/completions)
set(WADER_SHARE ${CMAKE_INSTALL_DATAROOTDIR}/wader)
set(WADER_LIBEXEC ${CMAKE_INSTALL_LIBEXECDIR}/wader)
set(WADER_UNITS lib/systemd/system)  # not LIBDIR: systemd looks nowhere else

install(TARGETS wader RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(DIRECTORY ${ENGINES} DESTINATION ${WADER_SHARE} COMPONENT program OPTIONAL
        USE_SOURCE_PERMISSIONS PATTERN nightly EXCLUDE)
install(PROGRAMS ${ENGINES}/nightly DESTINATION ${WADER_LIBEXEC} COMPONENT program OPTIONAL)
install(FILES ${CMAKE_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
install(FILES ${PACKAGE}/nightly.env DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples
        COMPONENT program)
install(FILES ${PACKAGE}/wader-nightly@.timer DESTINATION ${WADER_UNITS} COMPONENT program)
install(FILES ${PACKAGE}/sysusers.conf DESTINATION lib/sysusers.d RENAME wader.conf
        COMPONENT program)
install(FILES ${COMPLETIONS}/wader.bash RENAME wader COMPONENT program OPTIONAL
        DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions)
install(FILES ${COMPLETIONS}/wader.fish COMPONENT program OPTIONAL
        DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/fish/vendor_completions.d)

install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT plain)
install(FILES ${CMAKE_BINARY_DIR}/doc/wader.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
        COMPONENT plain OPTIONAL)
install(FILES ${COMPLETIONS}/_wader COMPONENT plain OPTIONAL
        DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/zsh/site-functions)

# The unit names programs by their whole paths, which `cmake --install --prefix` may change.
set(PLAIN_UNIT "${CMAKE_BINARY_DIR}/package/wader-nightly@.service")
install(CODE "
  get_filename_component(prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
  set(WADER_BIN \"\${prefix}/${CMAKE_INSTALL_BINDIR}\")
  set(WADER_NIGHTLY \"\${prefix}/${WADER_LIBEXEC}/nightly\")
  configure_file(\"${PACKAGE}/wader-nightly@.service.in\" \"${PLAIN_UNIT}\" @ONLY)"
        COMPONENT plain)
install(FILES ${PLAIN_UNIT} DESTINATION ${WADER_UNITS} COMPONENT plain)

include(${PACKAGE}/debian.cmake)
