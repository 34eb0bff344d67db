# find_package(initrt): the program as initrt::initrt, and initrt_JOB_SCHEMA, the schema of job files.
include("${CMAKE_CURRENT_LIST_DIR}/initrtTargets.cmake")
get_filename_component(initrt_JOB_SCHEMA
  "${CMAKE_CURRENT_LIST_DIR}/../../../share/initrt/job.schema.json" ABSOLUTE)
