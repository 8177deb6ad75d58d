variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "project" {
  type        = string
  description = "The project."
}

variable "environment" {
  type        = string
  description = "GitHub's environment whose workflows may push images."
}

variable "bucket" {
  type        = string
  description = "Bucket of files."
}

variable "tenants_key_id" {
  type        = string
  description = "Key that wraps tenants' keys."
}

variable "secret_ids" {
  type        = map(string)
  description = "Secrets that the platform reads, by name."
}

variable "dns_zone" {
  type        = string
  description = "Zone in which certificates are proved."
}

variable "registry" {
  type = object({
    location = string
    name     = string
  })
  description = "Repository that images are pushed to."
}

variable "repository" {
  type        = string
  description = "OWNER/NAME on GitHub whose workflows may push images; null: none."
  default     = null
}
