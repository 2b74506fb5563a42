// Where campaigns keep their trials: one SQLite file for any number of models and settings.
//
// What: a setting (model, guard level, text, scorer) has trials by spec and number. A trial is
// decided by
//   these, so whoever makes it finds the same; two runs over one store share what they find.
// Errors: those of file/database.h. Threads: one thread per store; any number of processes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "file/database.h"
#include "guard/damaged_session.h"

namespace checkbit {

/// What trials are comparable under.
struct CampaignSetting {
  std::string model;       ///< a name
  std::string model_hash;  ///< of the file's bytes
  std::string format;      ///< "Q4_0": of most of its weights
  std::string guard = "off";
  std::string text_hash;
  std::string scorer;  ///< what `score` is: "" or "arc, 50 items"
  std::string key() const;
};

struct StoredTrials {
  CampaignSetting setting;
  std::map<std::string, std::map<std::uint64_t, TrialResult>> trials;  ///< by spec, by number
};

class CampaignStore {
 public:
  static Result<CampaignStore> open(const std::string& path);
  Status add(const CampaignSetting& setting, const std::string& spec, std::uint64_t number,
             const TrialResult& result);
  Result<StoredTrials> read(const CampaignSetting& setting);
  Result<std::vector<StoredTrials>> read_all();

 private:
  explicit CampaignStore(Database database) : database_(std::move(database)) {}
  Status read_trials(StoredTrials& stored);
  Database database_;
};

}  // namespace checkbit
