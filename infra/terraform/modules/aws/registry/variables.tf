variable "kms_key_arn" {
  type        = string
  description = "Key that images are encrypted with."
}

variable "replica_regions" {
  type        = set(string)
  description = "Regions that images are copied to."
  default     = []
}
