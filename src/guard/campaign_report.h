// What a campaign found, in words, tables, charts and records.
//
// Units: divergence in nats a token; rates per bit. Threads: pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "guard/campaign.h"
#include "report/html.h"
#include "report/record.h"

namespace checkbit {

struct CampaignStory {
  CampaignSetting setting;
  std::size_t text_tokens = 0;
  std::vector<CellSummary> cells;
  std::vector<SurvivedRate> survived;
  std::optional<double> clean_score;
  std::string command;
};

/// One sentence with the sums of outcomes.
std::string describe_campaign(const CampaignStory& story);
/// One row a cell.
Table campaign_table(const CampaignStory& story);
/// Empty without searches.
Table survival_table(const CampaignStory& story);
/// faults_corrected, faults_detected, faults_benign, faults_silent (trials that ended so),
/// fault_trials, checks_executed, and bit_error_rate_survived of each field searched.
std::vector<Record> campaign_records(const CampaignStory& story);
/// {"setting", "cells": [...]}: every cell with its spec and figures.
nlohmann::ordered_json campaign_json(const CampaignStory& story);
Report campaign_report(const CampaignStory& story);

}  // namespace checkbit
