"""From maps to instances and back: keypoints, votes, grouping, fusion; numpy alone."""
