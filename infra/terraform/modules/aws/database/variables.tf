variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "vpc_id" {
  type        = string
  description = "The network."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets without a way out, in two zones or more."
}

variable "client_security_groups" {
  type        = map(string)
  description = "Security groups that may connect, by what they are."
}

variable "instance_class" {
  type        = string
  description = "Size of an instance."
}

variable "storage_gb" {
  type        = number
  description = "Storage at first; it grows to five times as much by itself."
}

variable "multi_az" {
  type        = bool
  description = "A standby in another zone."
}

variable "backup_days" {
  type        = number
  description = "Days that can be gone back to, to the second."
}

variable "generation" {
  type        = number
  description = "Raised to have a new password made and written."
  default     = 1
}

variable "kms_key_arn" {
  type        = string
  description = "Key of storage, logs and the secret."
}

variable "replica_of" {
  type = object({
    database_arn = string
    endpoint     = string
    url_secret   = string
    region       = string
  })
  description = "In a second region: the database to follow, its endpoint and the secret with its address; null: a database of its own."
  default     = null
}
