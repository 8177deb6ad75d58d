variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "region" {
  type        = string
  description = "Google's name of the region."
}

variable "tier" {
  type        = string
  description = "Size of an instance."
}

variable "storage_gb" {
  type        = number
  description = "Storage at first; it grows by itself."
}

variable "regional" {
  type        = bool
  description = "A standby in another zone."
}

variable "backup_days" {
  type        = number
  description = "Daily backups that are kept; to the second one goes back a week."
}

variable "network_id" {
  type        = string
  description = "The network."
}

variable "rest_key_id" {
  type        = string
  description = "Key of what is at rest."
}

variable "locations" {
  type        = map(string)
  description = "Regions that the secrets are kept in, each with its key."
}

variable "other_authorities" {
  type        = list(string)
  description = "Authorities of the cache, PEM."
}

variable "generation" {
  type        = number
  description = "Raised to have a new password made and written."
  default     = 1
}

variable "replica_of" {
  type = object({
    instance   = string
    address    = string
    url_secret = string
  })
  description = "In a second region: the instance to follow, its address and the secret with it; null: an instance of its own."
  default     = null
}

variable "promoted" {
  type        = bool
  description = "The replica stands by itself, after a failover."
  default     = false
}
