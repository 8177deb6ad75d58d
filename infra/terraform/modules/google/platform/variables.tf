variable "name" {
  type        = string
  description = "genai-ENVIRONMENT: beginning of all names."
}

variable "project" {
  type        = string
  description = "The project of this environment."
}

variable "environment" {
  type        = string
  description = "dev, staging or production."
}

variable "region" {
  type        = string
  description = "Google's name of the region."
}

variable "labels" {
  type        = map(string)
  description = "Labels of cluster and nodes; the provider labels the rest."
}

variable "domain" {
  type        = string
  description = "Name that people type."
}

variable "load_balancer" {
  type = object({
    address   = string
    endpoints = string
  })
  description = "What stands before all regions: its address, which it writes behind a caller's, and the groups of endpoints that it looks for."
}

variable "dns_zone" {
  type        = string
  description = "The environment's own zone."
}

variable "cidr" {
  type        = string
  description = "Addresses of the network, a /16."
}

variable "bucket" {
  type        = string
  description = "Name of the bucket of files; null in a second region, which has the first's."
  default     = null
}

variable "tenants_location" {
  type        = string
  description = "Multi-region location of the tenants' key, and of images where there are two regions."
  default     = "europe"
}

variable "kubernetes_version" {
  type        = string
  description = "Version of Kubernetes that the cluster begins with."
  default     = "1.33"
}

variable "nodes" {
  type = object({
    machine_type = string
    least        = number
    most         = number
    most_cores   = number
  })
  description = "The platform's nodes."
}

variable "database" {
  type = object({
    tier        = string
    storage_gb  = number
    regional    = bool
    backup_days = number
  })
  description = "Size of the database."
}

variable "cache" {
  type = object({
    memory_gb = number
    standby   = bool
  })
  description = "Size of the cache."
}

variable "secrets_by_hand" {
  type        = set(string)
  description = "Secrets that an operator fills in."
  default     = []
}

variable "secrets_generation" {
  type        = number
  description = "Raised to have new passwords, tokens and keys made and written."
  default     = 1
}

variable "repository" {
  type        = string
  description = "OWNER/NAME on GitHub whose workflows may push images."
  default     = null
}

variable "emails" {
  type        = list(string)
  description = "Who is told of alarms."
}

variable "promoted" {
  type        = bool
  description = "The second region's database stands by itself, after a failover."
  default     = false
}

variable "second" {
  type        = bool
  description = "This is the second region of another platform, whose database follows the first one's."
  default     = false
}

variable "first_tenants_key_id" {
  type        = string
  description = "Where it is second: the key of tenants."
  default     = null
}

variable "first_bucket" {
  type        = string
  description = "Where it is second: the bucket of files, which spans both."
  default     = null
}

variable "first_secret_ids" {
  type        = map(string)
  description = "Where it is second: the secrets that were made in the first region."
  default     = {}
}

variable "first_registry" {
  type = object({
    location = string
    name     = string
  })
  description = "Where it is second: the registry, which spans both."
  default     = null
}

variable "first_database" {
  type = object({
    instance   = string
    address    = string
    url_secret = string
  })
  description = "Where it is second: the first region's database."
  default     = null
}

variable "replicated" {
  type        = bool
  description = "There is a second region that this one copies to."
  default     = false
}

variable "replica_region" {
  type        = string
  description = "The second region."
  default     = null
}

variable "replica_key_id" {
  type        = string
  description = "The second region's key of what is at rest."
  default     = null
}
