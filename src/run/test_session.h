// Opens the tiny models of the repository, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "run/session.h"

namespace checkbit {

inline Session open_tiny(const SessionOptions& options, const std::string& name = "llama-llama3") {
  auto session = Session::open(
      std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name + ".gguf", options);
  EXPECT_TRUE(session.ok()) << session.error().message;
  return *std::move(session);
}

}  // namespace checkbit
