variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "bucket" {
  type        = string
  description = "Name of the bucket, unique in the world."
}

variable "former_versions_days" {
  type        = number
  description = "Days that what was overwritten or deleted can be brought back."
  default     = 30
}

variable "kms_key_arn" {
  type        = string
  description = "Key that objects are encrypted with."
}

variable "replica" {
  type = object({
    bucket_arn  = string
    kms_key_arn = string
  })
  description = "Bucket and key in a second region; null: there is none."
  default     = null
}
