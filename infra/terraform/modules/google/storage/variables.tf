variable "bucket" {
  type        = string
  description = "Name of the bucket, unique in the world."
}

variable "region" {
  type        = string
  description = "Google's name of the region."
}

variable "both_regions" {
  type        = list(string)
  description = "The two regions that the bucket spans; none: it is in one."
  default     = []
}

variable "both_location" {
  type        = string
  description = "Google's name of the continent of these two."
  default     = "EU"
}

variable "former_versions_days" {
  type        = number
  description = "Days that what was overwritten or deleted can be brought back."
  default     = 30
}

variable "rest_key_id" {
  type        = string
  description = "Key of what is at rest."
}
